"""What an operator keeps of its inputs between two chunks, and the outputs that it can make of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from atrous.errors import ShapeError
from atrous.geometry.axis import Window
from atrous.geometry.axis_flow import complete_outputs, first_input
from atrous.inference.stream_program import Step
from atrous.inference.stream_windows import Cells, Local


@dataclass(frozen=True, slots=True)
class Piece:
    """Cells of a value from start up to stop; a tuple of tensors where an operator has several results."""

    values: Any
    start: int
    stop: int


@dataclass(slots=True)
class Buffer:
    """Neighboring cells of a value.

    Attributes:
        dim: The dimension that holds the axis.
        unit: Entries of that dimension a cell.
        first: Position of the first cell that is kept.
        stop: Position after the last.
        values: The cells, perhaps none of them; None before anything came.
    """

    dim: int
    unit: int
    first: int = 0
    stop: int = 0
    values: Tensor | None = None

    def append(self, piece: Piece) -> None:
        """Take the next cells."""
        self.stop = piece.stop
        if self.values is None or self.values.shape[self.dim] == 0:
            self.values = piece.values
        else:
            self.values = torch.cat([self.values, piece.values], self.dim)
        self.drop_before(self.first)  # cells that were not wanted even before they came

    def drop_before(self, position: int) -> None:
        """Forget the cells before a position, and the memory they are in."""
        self.first = max(self.first, position)
        if self.values is None:
            return
        kept = max(self.stop - self.first, 0) * self.unit
        if (surplus := self.values.shape[self.dim] - kept) > 0:
            self.values = self.values.narrow(self.dim, surplus, kept).clone()

    def between(self, start: int, stop: int) -> Tensor:
        """The cells at positions from start up to stop."""
        assert self.values is not None
        first = self.stop - self.values.shape[self.dim] // self.unit
        return self.values.narrow(self.dim, (start - first) * self.unit, (stop - start) * self.unit)


@dataclass(slots=True)
class Track:
    """A step on its way along the axis.

    Attributes:
        step: The operator.
        buffers: One for each input, by name.
        done: Outputs made so far.
    """

    step: Step
    buffers: dict[str, Buffer]
    done: int = field(default=0)

    def advance(self, pieces: Mapping[str, Piece | None], *, is_end: bool) -> Piece | None:
        """The outputs that new pieces of the inputs complete; None for none.

        Raises:
            ShapeError: If the input ends and the operator has no output for it.
        """
        if self.step.local is None and len(pieces) == 1:
            return self._pass_on(pieces)
        for name, piece in pieces.items():
            if piece is not None:
                self.buffers[name].append(piece)
        return (
            self._join(is_end=is_end)
            if self.step.local is None
            else self._run(self.step.local, is_end=is_end)
        )

    def _pass_on(self, pieces: Mapping[str, Piece | None]) -> Piece | None:
        ((name, piece),) = pieces.items()
        if piece is None:
            return None
        return self._made(self.step.run({name: piece.values}, piece.start, piece.stop), piece.stop)

    def _join(self, *, is_end: bool) -> Piece | None:
        """Several inputs at the same place, whichever comes last."""
        ends = {name: buffer.stop for name, buffer in self.buffers.items()}
        stop = min(ends.values())
        if is_end and stop != max(ends.values()):
            joined = " and ".join(map(str, ends.values()))
            raise ShapeError(
                f'"{self.step.label}" joins {joined} cells along the axis; give an input of a size that the '
                "network takes"
            )
        if stop == self.done:
            return None
        parts = {name: buffer.between(self.done, stop) for name, buffer in self.buffers.items()}
        piece = self._made(self.step.run(parts, self.done, stop), stop)
        for buffer in self.buffers.values():
            buffer.drop_before(stop)
        return piece

    def _run(self, local: Local, *, is_end: bool) -> Piece | None:
        """One input, of which other cells are read than the one at the output's place."""
        (buffer,) = self.buffers.values()
        available = buffer.stop
        stop = local.num_outputs(available)
        if is_end and stop < 1:
            raise ShapeError(
                f'"{self.step.label}" has no output for {available} cells along the axis; give a longer input'
            )
        if not is_end:
            stop = min(stop, complete_outputs(local.axis, available))
        if stop <= self.done or buffer.values is None:
            return None
        first = available - buffer.values.shape[buffer.dim]
        cells = Cells(buffer.values, buffer.dim, first, size=available if is_end else None)
        piece = self._made(local.run(cells, self.done, stop), stop)
        buffer.drop_before(min(first_input(local.axis, stop), available - _kept_for_the_end(local)))
        return piece

    def _made(self, values: Any, stop: int) -> Piece:
        start, self.done = self.done, stop
        return Piece(values, start, stop)


def _kept_for_the_end(local: Local) -> int:
    """The last cells that outputs beyond the end of the axis read, wherever it ends."""
    axis = local.axis
    if isinstance(axis, Window) and axis.beyond == "reflect":
        return axis.padding[1] + 1 if axis.padding[1] > 0 else 0
    return int(axis.beyond == "replicate")
