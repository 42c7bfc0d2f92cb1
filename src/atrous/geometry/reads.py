"""Which cells of a node one output reads, or by how many paths, and the same one operator nearer to the input.

An output of convolutions and pools reads a product: one set of cells an axis. It stays one array an axis until
branches meet whose sum is no product any more; from there on one array holds all axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from atrous.geometry.axis import POINTWISE, AxisMap, Global

_LARGE = 2.0**500  # counts beyond are scaled down, far from the end of float64 at 2 ** 1024


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """How often each cell of a box is read; adding two booleans is or, so that one code counts and decides.

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
        if all(axis == POINTWISE for axis in axes) and self._lies_inside(sizes):
            return self
        start, factors = list(self.start), list(self.factors)
        for number, (axis, size) in enumerate(zip(axes, sizes, strict=True)):
            which, along = (number, 0) if self.is_product else (0, number)
            values, first = factors[which], start[number]
            if not isinstance(axis, Global):
                values, first = _step(values, along, first, axis)
            if size is not None:
                beyond = "nothing" if isinstance(axis, Global) else axis.beyond
                values, first = _fold(values, along, first, size, beyond)
            factors[which], start[number] = values, first
        return _scaled(Reads(tuple(start), tuple(factors), self.exponent))

    def join(self, other: "Reads") -> "Reads":
        """What two consumers of one node read together."""
        if self._contains(other):
            return self
        if other._contains(self):
            return other
        low = tuple(map(min, self.start, other.start))
        high = map(max, _ends(self), _ends(other))
        shape = tuple(end - first for first, end in zip(low, high, strict=True))
        first, second = self.over(low, shape), other.over(low, shape)
        exponent = max(first.exponent, second.exponent)
        axis = _only_difference(first, second)
        if axis is None:
            return Reads(
                low,
                (_shifted(first.array, first, exponent) + _shifted(second.array, second, exponent),),
                exponent,
            )
        factors = list(first.factors)
        factors[axis] = _shifted(first.factors[axis], first, exponent) + _shifted(
            second.factors[axis], second, exponent
        )
        return Reads(low, tuple(factors), exponent)

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
        others = [tuple(b for b in range(f.ndim) if b != a) for f in self.factors for a in range(f.ndim)]
        whole = [factor for factor in self.factors for _ in range(factor.ndim)]
        read = [np.flatnonzero(f.any(axis=rest)) for f, rest in zip(whole, others, strict=True)]
        if any(len(cells) == 0 for cells in read):
            return None
        start = tuple(first + int(cells[0]) for first, cells in zip(self.start, read, strict=True))
        return self.over(start, tuple(int(cells[-1] - cells[0]) + 1 for cells in read))
