"""What an operator can make of an axis whose end is not there yet, and what it needs of its beginning."""

import math

from atrous.errors import GeometryError
from atrous.geometry.axis import Finite, Resample, Transposed, Window, effective_kernel_size


def first_input(axis: Finite, output: int) -> int:
    """The first input cell that outputs from this one on read; negative in the padding.

    Raises:
        GeometryError: If the operator runs on interleaved grids.
    """
    match axis:
        case Window():
            return axis.stride * output - axis.padding[0]
        case Transposed():
            span = effective_kernel_size(axis.kernel_size, axis.dilation)
            written = output + axis.padding[0]
            return min((written - span) // axis.stride + 1, written // axis.stride)
        case Resample():
            return math.floor(axis.slope * output + axis.offset) - max(axis.reach - 1, 0)
    raise _interleaved()


def complete_outputs(axis: Finite, available: int) -> int:
    """How many outputs read nothing but input cells before `available`, and cells before the axis' start.

    Raises:
        GeometryError: If the operator runs on interleaved grids.
    """
    match axis:
        case Window():
            span = effective_kernel_size(axis.kernel_size, axis.dilation)
            complete = (available + axis.padding[0] - span) // axis.stride + 1
        case Transposed():
            complete = axis.stride * available - axis.padding[0]
        case Resample():
            complete = math.ceil((available - axis.reach - axis.offset) / axis.slope)
        case _:
            raise _interleaved()
    if axis.beyond == "reflect" and first_input(axis, 0) < 0 and available <= -first_input(axis, 0):
        return 0  # the first output reads the cell that far inside
    return max(complete, 0)


def _interleaved() -> GeometryError:
    return GeometryError(
        "an operator on interleaved grids has no order along the axis; run the network on the whole input"
    )
