"""The gradients of a two-dimensional convolution: PyTorch's own, and as one matrix product a tap."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the taps of a convolution lie, and how many groups it has."""

    padding: Pair
    dilation: Pair
    stride: Pair = (1, 1)
    groups: int = 1


def data_gradient(
    grad: Float[Tensor, "b out y x"],
    weight: Float[Tensor, "out c kh kw"],
    size: Sequence[int],
    *,
    padding: Pair,
    dilation: Pair,
) -> Float[Tensor, "b c h w"]:
    """The gradient of a convolution's input, stride 1, one group.

    Each tap sends `grad @ weight[tap]` to the inputs that it read; products are summed in float32 at least.

    Args:
        grad: Gradient of the output.
        weight: The kernel; channels-last in memory it is not copied.
        size: Height and width of the input.
        padding: Zeros on both sides of each axis.
        dilation: Inputs from one tap to the next along each axis.
    """
    weight = weight.contiguous(memory_format=torch.channels_last)
    grads = grad.contiguous(memory_format=torch.channels_last).movedim(1, -1)  # b y x out
    sums = torch.zeros(
        (len(grad), *size, weight.shape[1]), dtype=torch.promote_types(grad.dtype, torch.float32)
    )
    for (s, t), outputs, inputs in _taps(weight.shape[2:], size, grad.shape[2:], padding, dilation):
        part = grads[:, *outputs]
        sums[:, *inputs] += (part.reshape(-1, part.shape[-1]) @ weight[..., s, t]).view(*part.shape[:-1], -1)
    return sums.to(grad.dtype).movedim(-1, 1)


def weight_gradient_(
    result: Float[Tensor, "out c kh kw"],
    grad: Float[Tensor, "b out y x"],
    x: Float[Tensor, "b c h w"],
    *,
    padding: Pair,
    dilation: Pair,
) -> Float[Tensor, "out c kh kw"]:
    """Write the gradient of a convolution's kernel into `result`; stride 1, one group.

    Each tap's is `grad^T @ x[tap]`, a sum over all outputs; it needs room for the values that this tap reads.

    Args:
        result: Channels-last in memory it is written in order; of any type.
        grad: Gradient of the output.
        x: The input.
        padding: Zeros on both sides of each axis.
        dilation: Inputs from one tap to the next along each axis.
    """
    grads = grad.contiguous(memory_format=torch.channels_last).movedim(1, -1)  # b y x out
    values = x.contiguous(memory_format=torch.channels_last).movedim(1, -1)  # b h w c
    taps = _taps(result.shape[2:], x.shape[2:], grad.shape[2:], padding, dilation)
    if len(taps) < result.shape[2] * result.shape[3]:
        result.zero_()  # some tap reads only padding
    for (s, t), outputs, inputs in taps:
        part, read = grads[:, *outputs], values[:, *inputs]
        result[..., s, t] = part.reshape(-1, part.shape[-1]).T @ read.reshape(-1, read.shape[-1])
    return result


def plain_gradient(
    operand: int,
    grad: Float[Tensor, "b out y x"],
    x: Float[Tensor, "b c h w"],
    weight: Float[Tensor, "out _c kh kw"],
    layout: Layout,
) -> Tensor:
    """PyTorch's own gradient of a convolution's input (operand 0) or kernel (1), from maps that it reads."""
    if operand == 1 and is_misread(x.shape[1], layout):
        grad, x, weight = _channels_first(grad), _channels_first(x), _channels_first(weight)
    lies = (layout.stride, layout.padding, layout.dilation, False, [0, 0], layout.groups)
    wanted = [index == operand for index in range(3)]
    return torch.ops.aten.convolution_backward(grad, x, weight, None, *lies, wanted)[operand]


def _channels_first(values: Tensor) -> Tensor:
    """In the default order of memory: of one channel, `contiguous` would keep what claims to be another."""
    default = torch.empty(values.shape, device="meta").stride()
    return values if values.stride() == default else values.clone(memory_format=torch.contiguous_format)


def is_misread(channels: int, layout: Layout) -> bool:
    """Whether oneDNN's gradient of a kernel in bfloat16 may be wrong for channels-last maps.

    Measured with PyTorch 2.13 on AVX512-BF16: of dilated kernels on maps of 33 px and more it is off by more
    than its largest value, not a number, or ends the process, unless there is one group and the channels are
    a multiple of 16 (or fewer, which is not counted on). Right are channels-first maps, other ranks, and of
    these kernels the gradient of the input and the forward pass.
    """
    return max(layout.dilation) > 1 and (layout.groups > 1 or channels % 16 != 0)


def _taps(
    kernel_size: Sequence[int],
    input_size: Sequence[int],
    output_size: Sequence[int],
    padding: Pair,
    dilation: Pair,
) -> list[tuple[Pair, tuple[slice, slice], tuple[slice, slice]]]:
    """Taps that read more than padding, the outputs that each serves, and the inputs that it reads."""
    rows, columns = (
        _along(*axis) for axis in zip(kernel_size, input_size, output_size, padding, dilation, strict=True)
    )
    return [
        ((s, t), (to_row, to_column), (from_row, from_column))
        for (s, to_row, from_row), (t, to_column, from_column) in product(rows, columns)
    ]


def _along(
    kernel_size: int, input_size: int, output_size: int, padding: int, dilation: int
) -> list[tuple[int, slice, slice]]:
    """The same along one axis: tap, outputs, inputs."""
    overlaps = []
    for tap in range(kernel_size):
        shift = dilation * tap - padding
        first, end = max(0, -shift), min(output_size, input_size - shift)
        if first < end:
            overlaps.append((tap, slice(first, end), slice(first + shift, end + shift)))
    return overlaps
