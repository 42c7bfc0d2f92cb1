"""Where a decoder's cells lie and how far they see, after coarse features were brought to a finer grid."""

from fractions import Fraction

from atrous.geometry.axis import Resample, Window
from atrous.geometry.axis_field import AxisField
from atrous.models.contract import LogitGeometry


def cells_of(geometry: LogitGeometry) -> AxisField:
    """What the cells of that geometry see along an axis, in pixels."""
    first = geometry.center - (geometry.receptive_field - 1) / 2
    last = first + geometry.receptive_field - 1
    return AxisField((int(first),), (int(last),), geometry.output_stride)


def joined(coarse: AxisField, *, factor: int, shift: float, kernel_size: int) -> AxisField:
    """What is seen behind `upsample_features` and a same-padded convolution on the finer grid.

    Args:
        coarse: Of the features that are interpolated; they see farther than those beside them.
        factor: Fine cells a coarse one.
        shift: As of `upsample_features`.
        kernel_size: Odd; fine cells that the convolutions see together.
    """
    fine = coarse.through(Resample(Fraction(1, factor), Fraction(shift) / factor, reach=1))
    return then_cells(fine, kernel_size)


def then_cells(cells: AxisField, number: int) -> AxisField:
    """What is seen behind a same-padded module that looks at so many of these cells."""
    return cells.through(Window(number, padding=(number // 2, number // 2)))


def geometry_of(cells: AxisField, *, is_global: bool = False) -> LogitGeometry:
    """The geometry of logits whose cells see that."""
    return LogitGeometry(int(cells.stride), float(cells.center), cells.size, is_global=is_global)
