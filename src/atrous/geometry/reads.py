"""Which cells of a node one output reads, or by how many paths; and from there those of the node before.

Convolutions and pools read a product, one set of cells an axis. It stays one vector an axis until branches
meet whose sum is no product any more; from there on one array holds all axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from atrous.geometry.axis import AxisMap, Beyond, Finite, Global, fold

_LARGE = 2.0**500  # larger counts are scaled down, far from the end of float64 near 2 ** 1024


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """How often each cell of a box is read. Adding two booleans is "or", so that one code decides and counts.

    Attributes:
        start: First cell of the box along each axis.
        factors: One vector an axis whose product it is, or a single array of all axes; all bool (read or not)
            or all float64 (number of paths).
        exponent: The counts are those of the arrays times 2 ** exponent.
    """

    start: tuple[int, ...]
    factors: tuple[np.ndarray, ...]
    exponent: int = 0

    @property
    def is_product(self) -> bool:
        """Whether there is one vector an axis."""
        return len(self.factors) == len(self.start)

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells of the box along each axis."""
        return tuple(size for factor in self.factors for size in factor.shape)

    @property
    def array(self) -> np.ndarray:
        """The whole box, without the exponent."""
        return reduce(np.multiply.outer, self.factors)

    def through(self, axes: Sequence[AxisMap], sizes: Sequence[int | None]) -> "Reads":
        """What is read of an operator's input, where this is read of its output.

        Args:
            axes: What the operator reads along each axis; something global reads the cell at its own place.
            sizes: Cells of the input along each axis; None for an axis without ends.
        """
        start, factors = list(self.start), list(self.factors)
        for number, (axis, size) in enumerate(zip(axes, sizes, strict=True)):
            which, along = (number, 0) if self.is_product else (0, number)
            values, first = factors[which], start[number]
            beyond: Beyond = "nothing"
            if not isinstance(axis, Global):
                values, first = _step(values, along, first, axis)
                beyond = axis.beyond
            if size is not None and not 0 <= first <= first + values.shape[along] <= size:
                values, first = _fold(values, along, first, size, beyond)
            factors[which], start[number] = values, first
        return _scaled(Reads(tuple(start), tuple(factors), self.exponent))

    def join(self, other: "Reads") -> "Reads":
        """What two consumers of one node read together."""
        if _contains(self, other):
            return self
        if _contains(other, self):
            return other
        low = tuple(map(min, self.start, other.start))
        shape = tuple(max(a, b) - first for a, b, first in zip(_end(self), _end(other), low, strict=True))
        exponent = max(self.exponent, other.exponent)
        one, two = (_times_power(reads.over(low, shape), exponent) for reads in (self, other))
        axis = _only_difference(one, two)
        if axis is None:
            return _scaled(Reads(low, (one.array + two.array,), exponent))
        factors = list(one.factors)
        factors[axis] = one.factors[axis] + two.factors[axis]
        return _scaled(Reads(low, tuple(factors), exponent))

    def over(self, start: tuple[int, ...], shape: tuple[int, ...]) -> "Reads":
        """The same on another box: cut off, or filled up with nothing."""
        if (start, shape) == (self.start, self.shape):
            return self
        offsets = [new - old for new, old in zip(start, self.start, strict=True)]
        if not self.is_product:
            return Reads(start, (_placed(self.factors[0], offsets, shape),), self.exponent)
        placed = (
            _placed(factor, [offset], (size,))
            for factor, offset, size in zip(self.factors, offsets, shape, strict=True)
        )
        return Reads(start, tuple(placed), self.exponent)

    def trimmed(self) -> "Reads | None":
        """The same on the smallest box that holds all that is read; None if nothing is."""
        read = [
            np.flatnonzero(factor.any(axis=tuple(other for other in range(factor.ndim) if other != axis)))
            for factor in self.factors
            for axis in range(factor.ndim)
        ]
        if any(len(cells) == 0 for cells in read):
            return None
        start = tuple(first + int(cells[0]) for first, cells in zip(self.start, read, strict=True))
        return self.over(start, tuple(int(cells[-1] - cells[0]) + 1 for cells in read))


def _step(values: np.ndarray, along: int, start: int, axis: Finite) -> tuple[np.ndarray, int]:
    """Through one operator along one axis: strided slices, shifted and added.

    Every map repeats: `period` cells further on, each tap lies `slope * period` positions further on.
    """
    size, period, advance = values.shape[along], axis.period, int(axis.slope * axis.period)
    phases = np.arange(min(period, size))
    positions, counts = axis.taps(start + phases)
    steps = (size - 1 - phases) // period  # of each phase, to its last cell
    if not counts.any():
        return _slice(values, along, slice(0, 0)), start
    low = int(positions[counts].min())
    high = int((positions + advance * steps[:, None])[counts].max())
    shape = (*values.shape[:along], high + 1 - low, *values.shape[along + 1 :])
    result = np.zeros(shape, values.dtype)
    for phase, tap in zip(*np.nonzero(counts), strict=True):
        first = int(positions[phase, tap]) - low
        last = first + advance * int(steps[phase])
        written = _slice(result, along, slice(first, last + 1, advance))
        written += _slice(values, along, slice(int(phase), None, period))
    return result, low


def _fold(values: np.ndarray, along: int, start: int, size: int, beyond: Beyond) -> tuple[np.ndarray, int]:
    """Cells before 0 and from `size` on brought inside, as the operator does at its borders, or dropped."""
    positions = start + np.arange(values.shape[along])
    folded, counts = fold(positions, size, beyond)
    if not counts.any():
        return _slice(values, along, slice(0, 0)), 0
    low, high = int(folded[counts].min()), int(folded[counts].max())
    shape = (*values.shape[:along], high + 1 - low, *values.shape[along + 1 :])
    result = np.zeros(shape, values.dtype)
    inside = np.flatnonzero((positions >= 0) & (positions < size))
    if len(inside):
        first, last = int(inside[0]), int(inside[-1])
        written = _slice(result, along, slice(start + first - low, start + last + 1 - low))
        written += _slice(values, along, slice(first, last + 1))
    for cell in np.flatnonzero(counts & (folded != positions)):
        written = _slice(result, along, slice(int(folded[cell]) - low, int(folded[cell]) - low + 1))
        written += _slice(values, along, slice(int(cell), int(cell) + 1))
    return result, low


def _slice(values: np.ndarray, along: int, part: slice) -> np.ndarray:
    return values[(slice(None),) * along + (part,)]


def _placed(values: np.ndarray, offsets: Sequence[int], shape: tuple[int, ...]) -> np.ndarray:
    """The box of `shape` whose first corner is at `offsets` of these values; zero beyond them."""
    result = np.zeros(shape, values.dtype)
    read, written = [], []
    for offset, old, new in zip(offsets, values.shape, shape, strict=True):
        low, high = max(offset, 0), max(min(offset + new, old), max(offset, 0))
        read.append(slice(low, high))
        written.append(slice(low - offset, high - offset))
    result[tuple(written)] = values[tuple(read)]
    return result


def _end(reads: Reads) -> tuple[int, ...]:
    return tuple(first + size for first, size in zip(reads.start, reads.shape, strict=True))


def _contains(reads: Reads, other: Reads) -> bool:
    """Whether reads, a product of booleans, is true wherever the other is; the union is then itself."""
    if reads.factors[0].dtype != bool or not (reads.is_product and other.is_product):
        return False
    inside = all(a <= b for a, b in zip(reads.start, other.start, strict=True))
    if not (inside and all(a >= b for a, b in zip(_end(reads), _end(other), strict=True))):
        return False
    over = reads.over(other.start, other.shape)
    return all((b <= a).all() for a, b in zip(over.factors, other.factors, strict=True))


def _only_difference(one: Reads, two: Reads) -> int | None:
    """The axis on which two products over one box differ; None if on several, or if they are no products."""
    if not (one.is_product and two.is_product):
        return None
    differing = [
        axis
        for axis, pair in enumerate(zip(one.factors, two.factors, strict=True))
        if not np.array_equal(*pair)
    ]
    return (differing or [0])[0] if len(differing) < 2 else None


def _times_power(reads: Reads, exponent: int) -> Reads:
    """The same counts, written for a larger exponent."""
    if exponent == reads.exponent:
        return reads
    first = np.ldexp(reads.factors[0], reads.exponent - exponent)
    return Reads(reads.start, (first, *reads.factors[1:]), exponent)


def _scaled(reads: Reads) -> Reads:
    """The same counts, with a larger exponent where they would soon leave float64."""
    if reads.factors[0].dtype == bool:
        return reads
    largest = [float(factor.max(initial=0.0)) for factor in reads.factors]
    if max(largest) < _LARGE:
        return reads
    down = [int(np.frexp(value)[1]) if value >= _LARGE else 0 for value in largest]
    factors = (
        np.ldexp(factor, -power) if power else factor
        for factor, power in zip(reads.factors, down, strict=True)
    )
    return Reads(reads.start, tuple(factors), reads.exponent + sum(down))
