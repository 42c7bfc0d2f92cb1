"""The label of every pixel straight from a network's cells, without a map of all classes at full size."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, Integer
from torch import Tensor

from atrous.compiling import compiled
from atrous.errors import ShapeError
from atrous.ops.resample import PerAxis, cells_read, per_axis

ROWS_A_TASK = 16  # px; small enough that two threads end together, large enough to be worth a task


class LabelUpsampler:
    """Takes the rows of cells of one image from top to bottom, and gives the label rows that they complete.

    The label of a pixel is the largest of the scores that `upsample_logits` gives it, the first of equals.

    Args:
        num_cells: Rows and columns of the network's output.
        size: Height and width of the image in pixels.
        stride: Pixels from one cell to the next, one number or one an axis.
        center: Pixel on which cell 0 is centered, one number or one an axis.
        mode: As in `upsample_logits`.
        start: The first row of pixels that is wanted.

    Attributes:
        received: The next row of cells to push; at first row 0, or the one that the row `start` reads.
        returned: The next row of pixels to come.

    Raises:
        ShapeError: If a side is empty, or there is no such row.
    """

    def __init__(
        self,
        num_cells: tuple[int, int],
        size: tuple[int, int],
        *,
        stride: PerAxis,
        center: PerAxis,
        mode: str = "centered",
        start: int = 0,
    ) -> None:
        if min(*num_cells, *size) < 1:
            raise ShapeError(f"cannot label {size} pixels from {num_cells} cells; no side may be empty")
        if not 0 <= start < size[0]:
            raise ShapeError(f"no row {start} in {size[0]} rows of pixels; start with one of them")
        self._num_rows = num_cells[0]
        self._rows, self._columns = (
            _Positions.of(cells_read(cells, pixels, stride=step, center=first, mode=mode).numpy())
            for cells, pixels, step, first in zip(
                num_cells, size, per_axis(stride, 2), per_axis(center, 2), strict=True
            )
        )
        self._kept: Tensor | None = None  # the last row of cells: the next pixels lie below it
        self.received = int(self._rows.below[start]) if start else 0
        self.returned = start

    def push(self, cells: Float[Tensor, "k rows x"]) -> Integer[np.ndarray, "h w"]:
        """The label rows that these rows of cells complete: uint8 for up to 256 classes, int64 for more.

        Raises:
            ShapeError: If the network's output has no such rows.
        """
        if self.received + cells.shape[1] > self._num_rows or cells.shape[2] <= self._columns.below.max():
            raise ShapeError(
                f"{cells.shape[1]} rows of {cells.shape[2]} cells after {self.received} of {self._num_rows} "
                "are none of this output's; push each row once, from top to bottom"
            )
        scores = cells.detach().float().cpu()
        first = self.received
        if self._kept is not None:
            scores, first = torch.cat([self._kept, scores], 1), first - self._kept.shape[1]
        self.received += cells.shape[1]
        self._kept = scores[:, -1:].clone()
        stop = len(self._rows.below)
        if self.received < self._num_rows:
            stop = int(np.searchsorted(self._rows.below + (self._rows.share > 0), self.received))
        start, self.returned = self.returned, max(stop, self.returned)
        rows = self._rows.between(start, self.returned, first=first)
        return _labels(scores.contiguous().numpy(), rows, self._columns)


def upsample_labels(
    logits: Float[Tensor, "k y x"],
    size: tuple[int, int],
    *,
    stride: PerAxis,
    center: PerAxis,
    mode: str = "centered",
) -> Integer[np.ndarray, "h w"]:
    """The label of every pixel of an image of `size`; arguments are those of `LabelUpsampler`."""
    num_cells = (logits.shape[1], logits.shape[2])
    return LabelUpsampler(num_cells, size, stride=stride, center=center, mode=mode).push(logits)


@dataclass(frozen=True, slots=True, eq=False)
class _Positions:
    """Where pixels lie between cells on one axis: the cell at or before each, and the next one's share."""

    below: Int64[np.ndarray, " n"]
    share: Float32[np.ndarray, " n"]

    @classmethod
    def of(cls, cells: np.ndarray) -> "_Positions":
        below = np.floor(cells).astype(np.int64)
        return cls(below, (cells - below).astype(np.float32))

    def between(self, start: int, stop: int, *, first: int = 0) -> "_Positions":
        """Those of the pixels from start up to stop, of cells counted from `first` on."""
        return _Positions(self.below[start:stop] - first, self.share[start:stop])


def _labels(
    scores: Float32[np.ndarray, "k y x"], rows: _Positions, columns: _Positions
) -> Integer[np.ndarray, "h w"]:
    """Rows of labels, by as many threads as torch has."""
    dtype = np.uint8 if len(scores) <= 256 else np.int64
    labels = np.empty((len(rows.below), len(columns.below)), dtype)

    def fill(start: int) -> None:
        stop = start + ROWS_A_TASK
        part = rows.between(start, stop)
        _fill_labels(scores, part.below, part.share, columns.below, columns.share, labels[start:stop])

    starts = range(0, len(labels), ROWS_A_TASK)
    if len(starts) < 2 or torch.get_num_threads() == 1:
        for start in starts:
            fill(start)
    else:
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            deque(threads.map(fill, starts), maxlen=0)
    return labels


@compiled
def _fill_labels(
    scores: Float32[np.ndarray, "k y x"],
    above: Int64[np.ndarray, " h"],
    row_share: Float32[np.ndarray, " h"],
    left: Int64[np.ndarray, " w"],
    column_share: Float32[np.ndarray, " w"],
    labels: Integer[np.ndarray, "h w"],
) -> None:
    """Write the label of every pixel: one class after the other, keeping the best so far."""
    num_classes, num_rows, num_columns = scores.shape
    line = np.empty(num_columns + 1, np.float32)
    best = np.empty(len(left), np.float32)
    for row in range(len(above)):
        below = min(above[row] + 1, num_rows - 1)
        share = row_share[row]
        for label in range(num_classes):
            for column in range(num_columns):
                upper = scores[label, above[row], column]
                line[column] = upper + share * (scores[label, below, column] - upper)
            line[num_columns] = line[num_columns - 1]
            for pixel in range(len(left)):
                near = line[left[pixel]]
                score = near + column_share[pixel] * (line[left[pixel] + 1] - near)
                if label == 0 or score > best[pixel]:
                    best[pixel] = score
                    labels[row, pixel] = label
