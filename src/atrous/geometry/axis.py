"""What one operator reads along one spatial axis: which input cells an output cell comes from.

Every map is written for an axis without ends. Where an axis does end, `fold` says what lies beyond.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from atrous.errors import GeometryError

LARGEST_SPAN = 1 << 20  # cells of one kernel; far beyond any network, and within any memory
Beyond = Literal["nothing", "reflect", "replicate", "circular"]

PLACES = {1: ("sample", "samples"), 2: ("pixel", "px"), 3: ("voxel", "voxels")}
"""What a place of an input with so many axes is called, and many of them."""


def effective_kernel_size(kernel_size: int, dilation: int) -> int:
    """Inputs from the first tap of one layer to its last, d (k - 1) + 1.

    >>> effective_kernel_size(3, 16)
    33
    """
    return dilation * (kernel_size - 1) + 1


def same_padding(kernel_size: int, dilation: int) -> tuple[int, int]:
    """Zeros (before, after) that keep the size of an axis at stride 1: d (k - 1), halved.

    Where the total is odd, as for even kernels with an odd dilation, the odd zero goes after.

    >>> same_padding(3, 4), same_padding(2, 1)
    ((4, 4), (0, 1))
    """
    total = dilation * (kernel_size - 1)
    return total // 2, total - total // 2


@dataclass(frozen=True, slots=True)
class Window:
    """Output o reads `stride * o - padding[0] + dilation * t` for every tap t: convolution, pool, pad, crop.

    Attributes:
        kernel_size: Number of taps.
        stride: Input cells from one output to the next.
        dilation: Input cells from one tap to the next.
        padding: Cells added before the first and after the last input; negative where cells are cut off.
        beyond: What the added cells hold.
    """

    kernel_size: int = 1
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)
    beyond: Beyond = "nothing"

    def __post_init__(self) -> None:
        for name in ("kernel_size", "stride", "dilation"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise GeometryError(f"{name} {value!r} is no whole number; give one from 1 on")
            if value < 1:
                raise GeometryError(f"{name} {value} is too small; give at least 1")
        if (span := effective_kernel_size(self.kernel_size, self.dilation)) > LARGEST_SPAN:
            raise GeometryError(
                f"kernel size {self.kernel_size} with dilation {self.dilation} spans {span} cells; give "
                f"one that spans at most {LARGEST_SPAN}"
            )

    @property
    def slope(self) -> Fraction:
        """Input cells from one output to the next."""
        return Fraction(self.stride)

    @property
    def period(self) -> int:
        """Outputs after which the pattern of what is read repeats."""
        return self.slope.denominator

    def taps(
        self, cells: Int[np.ndarray, " n"]
    ) -> tuple[Int[np.ndarray, "n taps"], Bool[np.ndarray, "n taps"]]:
        """Input cells that each output cell reads, and which entries count."""
        first = self.stride * cells - self.padding[0]
        positions = first[:, None] + self.dilation * np.arange(self.kernel_size)
        return positions, np.ones_like(positions, dtype=bool)


@dataclass(frozen=True, slots=True)
class Transposed:
    """A transposed convolution: input i writes to outputs `stride * i - padding[0] + dilation * t`."""

    kernel_size: int
    stride: int
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)
    beyond: Beyond = "nothing"

    @property
    def slope(self) -> Fraction:
        """Input cells from one output to the next."""
        return Fraction(1, self.stride)

    @property
    def period(self) -> int:
        """Outputs after which the pattern of what is read repeats."""
        return self.slope.denominator

    def taps(
        self, cells: Int[np.ndarray, " n"]
    ) -> tuple[Int[np.ndarray, "n taps"], Bool[np.ndarray, "n taps"]]:
        """Input cells that each output cell reads, and which entries count."""
        written = (cells + self.padding[0])[:, None] - self.dilation * np.arange(self.kernel_size)
        return written // self.stride, written % self.stride == 0


@dataclass(frozen=True, slots=True)
class Resample:
    """An interpolation: output o lies at input position `slope * o + offset`.

    Attributes:
        slope: Input cells from one output to the next; 1/2 doubles the size.
        offset: Position of output 0.
        reach: Neighbors read on each side: 0 takes the cell at or before the position (nearest), 1 the two
            cells round it (linear), 2 the four (cubic). A position that is a cell reads only that cell.
    """

    slope: Fraction
    offset: Fraction
    reach: int
    beyond: Beyond = "replicate"

    @property
    def period(self) -> int:
        """Outputs after which the pattern of what is read repeats."""
        return self.slope.denominator

    def taps(
        self, cells: Int[np.ndarray, " n"]
    ) -> tuple[Int[np.ndarray, "n taps"], Bool[np.ndarray, "n taps"]]:
        """Input cells that each output cell reads, and which entries count."""
        whole = self.slope.denominator * self.offset.denominator
        step = self.slope.numerator * self.offset.denominator
        position = step * cells + self.offset.numerator * self.slope.denominator
        neighbors = np.arange(1 - self.reach, self.reach + 1) if self.reach else np.array([0])
        positions = (position // whole)[:, None] + neighbors
        counts = (neighbors == 0) | (position % whole != 0)[:, None]
        return positions, counts


@dataclass(frozen=True, slots=True)
class Interleaved:
    """An operator run on several grids that lie between each other, each on its own.

    Output `r * phases + p`, cell r of grid p, reads `q * phases_read + p` where `inner` reads q at r.

    Attributes:
        inner: What the operator reads on one grid.
        phases: Grids of the output.
        phases_read: Cells of the input from one cell of a grid to its next.
    """

    inner: Window | Transposed | Resample
    phases: int
    phases_read: int
    beyond: Beyond = "nothing"

    @property
    def slope(self) -> Fraction:
        """Input cells from one output to the next, in the mean."""
        return self.inner.slope * self.phases_read / self.phases

    @property
    def period(self) -> int:
        """Outputs after which the pattern of what is read repeats."""
        return self.phases * self.inner.period

    def taps(
        self, cells: Int[np.ndarray, " n"]
    ) -> tuple[Int[np.ndarray, "n taps"], Bool[np.ndarray, "n taps"]]:
        """Input cells that each output cell reads, and which entries count."""
        positions, counts = self.inner.taps(cells // self.phases)
        return positions * self.phases_read + (cells % self.phases)[:, None], counts


@dataclass(frozen=True, slots=True)
class Global:
    """An operator whose every output sees the whole axis.

    Attributes:
        reason: What makes it so, in words: "adaptive pooling".
        direct: Whether output o also reads input o directly, as in a normalization by the axis' mean.
    """

    reason: str
    direct: bool = False


Finite = Window | Transposed | Resample | Interleaved
AxisMap = Finite | Global
POINTWISE = Window()


def on_grids(axis: Finite, phases: int) -> Finite:
    """What an operator reads when it runs on `phases` interleaved grids instead of on one."""
    if phases == 1 or isinstance(axis, Interleaved):
        return axis
    if isinstance(axis, Window) and axis.stride == 1:
        before, after = axis.padding
        return Window(
            axis.kernel_size, 1, axis.dilation * phases, (before * phases, after * phases), axis.beyond
        )
    return Interleaved(axis, phases, phases)


def fold(
    positions: Int[np.ndarray, "*n"], size: int, beyond: Beyond
) -> tuple[Int[np.ndarray, "*n"], Bool[np.ndarray, "*n"]]:
    """Positions brought into 0..size-1 as the operator does at its borders, and which of them hold inputs."""
    inside = (positions >= 0) & (positions < size)
    match beyond:
        case "nothing":
            return np.clip(positions, 0, size - 1), inside
        case "replicate":
            folded = np.clip(positions, 0, size - 1)
        case "circular":
            folded = positions % size
        case "reflect":
            period = max(2 * (size - 1), 1)
            folded = np.abs((positions + size - 1) % period - (size - 1))
    return folded, np.ones_like(inside)
