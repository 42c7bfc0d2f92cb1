"""The one receptive-field formula: what the cells of a node reach along one axis."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from atrous.geometry.axis import Finite


@dataclass(frozen=True, slots=True)
class AxisField:
    """Which inputs the cells of a node reach along one axis, on an axis without ends.

    Cell `p + n * len(first)` reaches from `first[p] + n * advance` to `last[p] + n * advance`. A network of
    convolutions and pools has one phase; upsampling gives the cells between two old ones phases of their own.

    Attributes:
        first: First input of cell 0, 1, ... of one period; None for a cell that reads nothing.
        last: Last input of them.
        advance: Inputs from one period to the next.
    """

    first: tuple[int | None, ...] = (0,)
    last: tuple[int | None, ...] = (0,)
    advance: int = 1

    @property
    def stride(self) -> Fraction:
        """Inputs from one cell to the next, in the mean."""
        return Fraction(self.advance, len(self.first))

    @property
    def size(self) -> int:
        """Inputs from the first to the last that a cell reaches, the most of any phase."""
        return max((last - first + 1 for _, first, last in self._phases()), default=0)

    @property
    def center(self) -> Fraction:
        """Input position of the middle of cell 0; where cells differ, of the line through their middles."""
        middles = [Fraction(first + last, 2) - self.stride * phase for phase, first, last in self._phases()]
        return sum(middles, Fraction(0)) / max(len(middles), 1)

    def box(self, cell: int) -> tuple[int, int] | None:
        """First and last input that a cell reaches, borders not considered; None if it reaches none."""
        period, phase = divmod(cell, len(self.first))
        first, last = self.first[phase], self.last[phase]
        if first is None or last is None:
            return None
        return first + period * self.advance, last + period * self.advance

    def through(self, axis: Finite) -> "AxisField":
        """The field after an operator."""
        shift = axis.slope / len(self.first)  # periods of this field from one output to the next
        cells = np.arange(math.lcm(shift.denominator, axis.period))
        boxes = [
            [self.box(int(cell)) for cell in cells_read[counts]]
            for cells_read, counts in zip(*axis.taps(cells), strict=True)
        ]
        reached = [[box for box in tapped if box is not None] for tapped in boxes]
        return AxisField(
            first=tuple(min((first for first, _ in tapped), default=None) for tapped in reached),
            last=tuple(max((last for _, last in tapped), default=None) for tapped in reached),
            advance=int(shift * len(cells)) * self.advance,
        )

    def union(self, other: "AxisField") -> "AxisField":
        """What either reaches; where strides differ, cells do not match, and the wider field counts."""
        if self.stride != other.stride:
            return max(self, other, key=lambda field: field.size)
        period = math.lcm(len(self.first), len(other.first))
        boxes = [
            [box for field in (self, other) if (box := field.box(cell)) is not None] for cell in range(period)
        ]
        return AxisField(
            first=tuple(min((first for first, _ in pair), default=None) for pair in boxes),
            last=tuple(max((last for _, last in pair), default=None) for pair in boxes),
            advance=int(self.stride * period),
        )

    def _phases(self) -> list[tuple[int, int, int]]:
        return [
            (phase, first, last)
            for phase, (first, last) in enumerate(zip(self.first, self.last, strict=True))
            if first is not None and last is not None
        ]
