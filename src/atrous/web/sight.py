"""What moves the decision at a pixel: its theoretical box, and by gradient what of it counts."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from atrous.geometry.effective import influence
from atrous.geometry.receptive_field import ReceptiveField, receptive_field
from atrous.inference.margin import Margined
from atrous.inference.predictor import Predictor
from atrous.models.named import example_of
from atrous.web.labeler import Labeled
from atrous.web.refusals import RefusedError

BUDGET = 3.0  # seconds that a click may take
BACKWARD = 3.0  # times a forward pass: itself, and twice as much back
ALIGNMENT = 32  # pixels: cells of all networks fall on the same places in windows that start at multiples
LEAST = 96  # pixels, the smallest side to which a window is cut
PATIENCE = 5  # times the budget, for networks without padding, whose window cannot be cut

Span = tuple[int, int]  # first, and one past the last


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What moves one output, in a part of the image as the network saw it.

    Attributes:
        mass: Influence of each pixel (h, w), sums to 1.
        top: Row of its first pixel in the image.
        left: Column of its first pixel.
        window: Height and width of what was looked at.
        is_whole: Whether it is all of the field.
    """

    mass: Float[np.ndarray, "h w"]
    top: int
    left: int
    window: tuple[int, int]
    is_whole: bool


class Looker:
    """Where a network looks, at any pixel of any image; the network is traced once.

    Args:
        predictor: Of a network for images.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    @cached_property
    def field(self) -> ReceptiveField:
        """The receptive field of the network's outputs, in pixels of what it is given, margin included."""
        network = self.predictor.network
        return receptive_field(network, example_of(network, ()))

    def cell(self, labeled: Labeled, row: int, column: int) -> tuple[int, int]:
        """The cell of the network that is centered nearest to a pixel of the image."""
        cells = labeled.prediction.scores.shape[1:]
        y, x = (
            min(max(round((at - center) / stride), 0), count - 1)
            for at, stride, center, count in zip((row, column), *labeled.prediction.grid, cells, strict=True)
        )
        return y, x

    def box(self, cell: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """First and last row and column that a cell reaches, also beyond the image; None if it sees all.

        They are of the image as the network saw it.
        """
        if any(self.field.sees_all):
            return None
        margin = self.predictor.network.margin
        rows, columns = ((int(low) - margin, int(high) - margin) for low, high in self.field.box(cell))
        return rows, columns

    def look(self, labeled: Labeled, cell: tuple[int, int], *, channel: int) -> Sight:
        """How much each pixel moves one output of a cell: the gradient, in a window around it.

        The window holds the field, or as much of it as the budget of time allows, judged by how long the
        network takes for a pixel.

        Raises:
            RefusedError: If that would take too long, or nothing moves the output.
        """
        network, seen = self.predictor.network, labeled.seen
        size = seen.shape[:2]
        margin, stride = network.margin, network.geometry.output_stride
        longest = self._longest_side(BACKWARD * labeled.pace)
        middle = tuple(network.geometry.center + margin + index * stride for index in cell)
        ends = self.field.box(cell)
        spans = [
            _span(low, high, at=at, longest=longest, size=side + 2 * margin)
            for (low, high), at, side in zip(ends, middle, size, strict=True)
        ]
        (top, bottom), (left, right) = spans
        margined = Margined(network, size, self.predictor.device).whole(seen)
        mass = influence(
            network,
            margined[:, :, top:bottom, left:right].contiguous(),
            cell=(cell[0] - top // stride, cell[1] - left // stride),
            channel=channel,
        )
        if not mass.sum() > 0:
            raise RefusedError("no pixel moves this decision: its gradient is zero", status=422)
        rows, columns = (
            slice(max(margin - start, 0), max(margin + side - start, 0))
            for (start, _), side in zip(spans, size, strict=True)
        )
        inside = mass[rows, columns]  # what the reflected margin tells is not shown
        whole = all(
            start <= max(low, 0) and min(high, side + 2 * margin - 1) < stop
            for (start, stop), (low, high), side in zip(spans, ends, size, strict=True)
        )
        return Sight(
            inside / max(float(inside.sum()), np.finfo(float).tiny),
            top=max(top - margin, 0),
            left=max(left - margin, 0),
            window=(bottom - top, right - left),
            is_whole=whole,
        )

    def _longest_side(self, seconds: float) -> int:
        """Pixels of a window's side, for a network that takes so many seconds a pixel there and back."""
        affordable = math.isqrt(int(BUDGET / max(seconds, 1e-9)))
        margin = self.predictor.network.margin
        if not margin:
            return max(affordable, LEAST)
        needed = 2 * margin + ALIGNMENT + self.predictor.network.geometry.output_stride
        if needed**2 * seconds > PATIENCE * BUDGET:
            raise RefusedError(
                f"the heat map of this network would take {needed**2 * seconds:.0f} s on this machine, and "
                "only its box is drawn",
                status=422,
            )
        return max(affordable, needed)


def _span(low: float, high: float, *, at: float, longest: int, size: int) -> Span:
    """Pixels from `low` to `high`, inside the image, at most about `longest` around `at`."""
    first, last = max(low, 0, at - longest / 2), min(high, size - 1, at + longest / 2)
    start = int(first) // ALIGNMENT * ALIGNMENT
    return start, min(int(last) + 1, size)
