"""Running a network along one axis of an input that is never there as a whole, exactly."""

import zlib
from collections.abc import Iterable, Iterator, Sequence

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from atrous.errors import ConfigError, ShapeError
from atrous.geometry.exported import trace_program
from atrous.inference.stream_buffers import Buffer, Piece, Track
from atrous.inference.stream_program import Step, StreamProgram
from atrous.inference.whole_size import reason_for_whole_size


class Stream:
    """A network that takes its input in chunks along one axis, and gives each output when it is complete.

    The outputs, one after the other, are those of the network on the whole input: zeros, reflections and
    other borders are put at the input's true ends only. Each operator keeps the last cells that it still
    needs, (kernel_size - 1) * dilation of them for a convolution, and computes nothing twice. Chunks may have
    any size.

    >>> stream = Stream(nn.Conv1d(1, 1, 3, padding=2, dilation=2), torch.zeros(1, 1, 16), axis=-1)
    >>> [stream.push(torch.zeros(1, 1, 5)).shape[-1], stream.flush().shape[-1]]
    [3, 2]

    Args:
        network: Any module that `atrous.trace` can trace; it runs as in evaluation mode, and its weights are
            shared, not copied.
        example: An input (b, c, *spatial) of the shape to come; along the axis any size that the network
            takes.
        axis: The dimension of the input that arrives in chunks; -2 is the rows of images.
        length: Cells of the whole input along the axis. Only needed where the network asks for it: where it
            resizes to a size, aligns corners, or holds a value for every position.

    Attributes:
        length: As given.
        graph: The spatial graph of the network on the example.
        received: Input cells so far.
        returned: Output cells so far.

    Raises:
        GeometryError: If an operator sees the whole axis, or the network cannot be traced.
        ConfigError: If the length is needed and not given, or the axis is none of the spatial ones.
    """

    def __init__(
        self, network: nn.Module, example: Tensor, *, axis: int = -2, length: int | None = None
    ) -> None:
        self._dim = axis % example.ndim if -example.ndim <= axis < example.ndim else -1
        if self._dim < 2:
            raise ConfigError(
                f"axis {axis} of an input {tuple(example.shape)} is not spatial; give one from 2 on"
            )
        self.length = length
        self._shape = tuple(example.shape)
        traced = trace_program(network, example if length is None else self._of_length(example, length))
        self.graph = traced.graph
        program = StreamProgram(traced, self._dim - 2)
        if length is None and (
            reason := program.positional or reason_for_whole_size(network, traced, example, dim=self._dim)
        ):
            raise ConfigError(f"{reason}; give that size along the axis as length=")
        self._steps = {step.name: step for step in program.steps}
        self._output = self._steps[program.output]
        self._last_readers = {name: step.name for step in program.steps for name in step.inputs}
        shape = self._with_cells(traced.graph.output.shape, 0, self._output.dim)
        self._nothing = example.new_empty(shape)
        self.restart()

    def restart(self) -> None:
        """Forget all that was pushed, and take a new input from its start."""
        self._tracks = {step.name: Track(step, self._buffers(step)) for step in self._steps.values()}
        self.received = 0
        self.returned = 0
        self.is_flushed = False

    def push(self, chunk: Shaped[Tensor, "b c *spatial"], *, is_last: bool = False) -> Tensor:
        """The output cells that this chunk completes; none of them where more is needed.

        Args:
            chunk: The next cells of the input, of the example's shape but for their number.
            is_last: Whether the input ends with it: then all outputs come, by fewer calls than with `flush`.

        Raises:
            ShapeError: If the chunk has another shape, the input is longer than `length`, or was ended, or
                ends too early.
        """
        cells = chunk.shape[self._dim] if chunk.ndim == len(self._shape) else -1
        if cells < 0 or tuple(chunk.shape) != self._with_cells(self._shape, cells, self._dim):
            raise ShapeError(
                f"a chunk of shape {tuple(chunk.shape)} does not continue an input {self._shape}; only "
                f"dimension {self._dim} may differ"
            )
        if self.is_flushed:
            raise ShapeError("the input has ended; restart() takes a new one")
        if self.length is not None and self.received + cells > self.length:
            raise ShapeError(
                f"{self.received + cells} cells of an input of length {self.length}; push no more"
            )
        self.received += cells
        if is_last:
            self._end()
        return self._advance(chunk, is_end=is_last)

    def flush(self) -> Tensor:
        """The output cells that were waiting for more input: it ends here.

        Raises:
            ShapeError: If the input is too short for the network, or shorter than `length`.
        """
        if self.is_flushed:
            raise ShapeError("the input has ended; restart() takes a new one")
        self._end()
        return self._advance(None, is_end=True)

    def run(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """All outputs of one input, piece by piece; pieces without cells are left out."""
        self.restart()
        waiting = None
        for chunk in chunks:
            if waiting is not None and (piece := self.push(waiting)).shape[self._output.dim]:
                yield piece
            waiting = chunk
        piece = self.flush() if waiting is None else self.push(waiting, is_last=True)
        if piece.shape[self._output.dim]:
            yield piece

    def state_dict(self) -> dict[str, Tensor]:
        """All that is kept between two chunks, by name, as tensors; `load_state_dict` goes on from there."""
        state = {"": torch.tensor([self.received, self.returned, self.is_flushed, self._fingerprint()])}
        for name, track in self._tracks.items():
            buffers = track.buffers.values()
            state[name] = torch.tensor(
                [track.done, *(place for buffer in buffers for place in (buffer.first, buffer.stop))]
            )
            for source, buffer in track.buffers.items():
                if buffer.values is not None:
                    state[f"{name}/{source}"] = buffer.values.clone()
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from where `state_dict` was taken, of the same network.

        Raises:
            ConfigError: If the state is that of another network.
        """
        if "" not in state or int(state[""][-1]) != self._fingerprint():
            raise ConfigError("the state is that of another network; make the stream of the same one")
        self.restart()
        self.received, self.returned, is_flushed, _ = map(int, state[""].tolist())
        self.is_flushed = bool(is_flushed)
        for name, track in self._tracks.items():
            track.done, *places = map(int, state[name].tolist())
            for (source, buffer), first, stop in zip(
                track.buffers.items(), places[::2], places[1::2], strict=True
            ):
                buffer.first, buffer.stop, buffer.values = first, stop, state.get(f"{name}/{source}")

    def _end(self) -> None:
        """Note that the input is complete."""
        if self.received == 0 or (self.length is not None and self.received < self.length):
            wanted = self.length or "at least 1"
            raise ShapeError(f"the input ends after {self.received} of {wanted} cells; push the rest first")
        self.is_flushed = True

    def _fingerprint(self) -> int:
        """Of the operators, what they read, and the axis."""
        nodes = [(node.name, node.operator, node.axes, node.shape[:2]) for node in self.graph]
        return zlib.crc32(repr((self._dim, self.length, nodes)).encode())

    @property
    def num_bytes(self) -> int:
        """Bytes that are kept between two chunks."""
        buffers = (buffer for track in self._tracks.values() for buffer in track.buffers.values())
        return sum(buffer.values.nbytes for buffer in buffers if buffer.values is not None)

    @torch.no_grad()
    def _advance(self, chunk: Tensor | None, *, is_end: bool) -> Tensor:
        """One pass over the steps with what is new."""
        first, *steps = self._steps.values()
        fresh: dict[str, Piece | None] = {first.name: None}
        if chunk is not None:
            fresh[first.name] = Piece(chunk, self.received - chunk.shape[self._dim], self.received)
        for step in steps:
            last_read = [name for name in step.inputs if self._last_readers[name] == step.name]
            pieces = {name: fresh.pop(name) if name in last_read else fresh[name] for name in step.inputs}
            fresh[step.name] = self._tracks[step.name].advance(pieces, is_end=is_end)
        piece = fresh[self._output.name]
        if piece is None:
            return self._nothing
        self.returned = piece.stop
        return piece.values

    def _buffers(self, step: Step) -> dict[str, Buffer]:
        return {name: Buffer(self._steps[name].dim, self._steps[name].unit) for name in step.inputs}

    def _of_length(self, example: Tensor, length: int) -> Tensor:
        """An example of the whole input; its memory is never touched."""
        shape = self._with_cells(example.shape, length, self._dim)
        return torch.empty(shape, dtype=example.dtype, device=example.device)

    @staticmethod
    def _with_cells(shape: Sequence[int], cells: int, dim: int) -> tuple[int, ...]:
        return (*shape[:dim], cells, *shape[dim + 1 :])
