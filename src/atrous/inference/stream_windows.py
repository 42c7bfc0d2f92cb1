"""Convolutions on a part of the streamed axis, and what all operators share that read a window along it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from atrous.geometry.axis import Finite, Transposed, Window, effective_kernel_size, same_padding
from atrous.geometry.axis_flow import first_input

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of an input that are at hand, along dimension `dim`.

    Attributes:
        values: Neighboring cells.
        dim: The dimension that holds the streamed axis.
        first: Position of the first of them on the axis.
        size: Cells of the whole axis; None while its end is unknown.
    """

    values: Tensor
    dim: int
    first: int
    size: int | None

    @property
    def stop(self) -> int:
        """Position after the last of them."""
        return self.first + self.values.shape[self.dim]

    def between(self, start: int, stop: int) -> Tensor:
        """Those at positions from start up to stop."""
        return self.values.narrow(self.dim, start - self.first, stop - start)

    def padded(self, start: int, stop: int, value: float) -> Tensor:
        """Those at positions from start up to stop, with `value` where the axis has no cell."""
        before = min(max(-start, 0), stop - start)
        after = 0 if self.size is None else min(max(stop - self.size, 0), stop - start - before)
        inside = stop - start - before - after
        part = self.between(start + before, stop - after) if inside else self.between(self.first, self.first)
        return along(part, self.dim, before, after, value) if before or after else part


@dataclass(frozen=True, slots=True)
class Call:
    """An operator of the network, whose one streamed input has the axis in dimension `dim`.

    Attributes:
        operator: Its name.
        arguments: By the names of its schema; tensors among them are weights.
        axis: What it reads along the streamed axis.
        dim: The dimension that holds the streamed axis, in input and result.
        size: Cells of its input when traced.
        shape: Of its result when traced.
    """

    operator: str
    arguments: dict[str, Any]
    axis: Finite
    dim: int
    size: int
    shape: tuple[int, ...]

    def per_axis(self, name: str, rank: int) -> list[int]:
        """An argument with one number for each of the last `rank` dimensions."""
        value = self.arguments[name]
        values = [int(v) for v in value] if isinstance(value, Sequence) else [int(value)]
        return values * rank if len(values) == 1 else values


@dataclass(frozen=True, slots=True)
class Local:
    """An operator ready to run on a part of the axis.

    Attributes:
        axis: What it reads along it.
        num_outputs: Output cells of an axis of that many input cells.
        run: Makes the output cells from start up to stop of the cells they read.
    """

    axis: Finite
    num_outputs: Callable[[int], int]
    run: Callable[[Cells, int, int], Tensor]


def convolution(call: Call) -> Local:
    """conv1d, conv2d, conv3d, padded here along the streamed axis, and by themselves along the others."""
    axis, a = window_of(call.axis), call.arguments
    weight = a["weight"]
    rank = weight.ndim - 2
    strides, dilations = call.per_axis("stride", rank), call.per_axis("dilation", rank)
    match a["padding"]:
        case "same":
            pairs = [same_padding(k, d) for k, d in zip(weight.shape[2:], dilations, strict=True)]
        case "valid":
            pairs = [(0, 0)] * rank
        case _:
            pairs = [(zeros, zeros) for zeros in call.per_axis("padding", rank)]
    pairs[call.dim - 2] = (0, 0)
    uneven = [zeros for pair in reversed(pairs) for zeros in (0, max(pair[1] - pair[0], 0))]
    padding = [before for before, _ in pairs]

    def run(cells: Cells, start: int, stop: int) -> Tensor:
        x = read(cells, axis, start, stop, value=0.0)
        if any(uneven):  # the odd zero of an even kernel goes after
            x = functional.pad(x, uneven)
        return _CONVOLUTIONS[rank](x, weight, a["bias"], strides, padding, dilations, a["groups"])

    return Local(axis, lambda size: window_outputs(axis, size), run)


def transposed_convolution(call: Call) -> Local:
    """conv_transpose1d, 2d, 3d: input cells beyond either end count as zeros."""
    axis, a = call.axis, call.arguments
    assert isinstance(axis, Transposed)
    weight, (before, after) = a["weight"], axis.padding
    rank, span = weight.ndim - 2, effective_kernel_size(axis.kernel_size, axis.dilation)
    strides, dilations = call.per_axis("stride", rank), call.per_axis("dilation", rank)
    padding, extra = call.per_axis("padding", rank), call.per_axis("output_padding", rank)
    padding[call.dim - 2] = extra[call.dim - 2] = 0

    def run(cells: Cells, start: int, stop: int) -> Tensor:
        first, last = first_input(axis, start), (stop - 1 + before) // axis.stride
        x = cells.padded(first, last + 1, 0.0)
        written = _TRANSPOSED[rank](x, weight, a["bias"], strides, padding, extra, a["groups"], dilations)
        skipped = start + before - axis.stride * first
        if (missing := skipped + stop - start - written.shape[call.dim]) > 0:  # no tap reaches these
            x = along(x, call.dim, 0, -(-missing // axis.stride), 0.0)
            written = _TRANSPOSED[rank](x, weight, a["bias"], strides, padding, extra, a["groups"], dilations)
        return written.narrow(call.dim, skipped, stop - start)

    return Local(axis, lambda size: (size - 1) * axis.stride - before - after + span, run)


def along(values: Tensor, dim: int, before: int, after: int, value: float) -> Tensor:
    """Values with cells of one value put before and after them along a dimension."""
    return functional.pad(values, [0, 0] * (values.ndim - 1 - dim) + [before, after], value=value)


def read(cells: Cells, axis: Window, start: int, stop: int, *, value: float) -> Tensor:
    """The cells that outputs from start up to stop read, those beyond the ends included."""
    first = axis.stride * start - axis.padding[0]
    span = effective_kernel_size(axis.kernel_size, axis.dilation)
    return cells.padded(first, first + axis.stride * (stop - 1 - start) + span, value)


def window_outputs(axis: Window, size: int, *, ceil_mode: bool = False) -> int:
    """Output cells as PyTorch counts them: in ceil mode the last window may reach beyond the padding."""
    room = size + sum(axis.padding) - effective_kernel_size(axis.kernel_size, axis.dilation)
    if not ceil_mode:
        return room // axis.stride + 1
    outputs = -(-room // axis.stride) + 1
    return outputs - ((outputs - 1) * axis.stride >= size + axis.padding[0])


def window_of(axis: Finite) -> Window:
    """The axis of an operator that reads a window."""
    assert isinstance(axis, Window)
    return axis
