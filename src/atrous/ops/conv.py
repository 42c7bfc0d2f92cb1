"""Dilated convolution in one, two and three dimensions, and the sum that defines it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from atrous.errors import ConfigError, ShapeError
from atrous.geometry.axis import effective_kernel_size, same_padding

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def conv(
    x: Float[Tensor, "b c *spatial"],
    weight: Float[Tensor, "out c_per_group *kernel"],
    bias: Float[Tensor, " out"] | None = None,
    *,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = "same",
    groups: int = 1,
) -> Float[Tensor, "b out *output"]:
    """Dilated convolution of x, in as many dimensions as the kernel has.

    Yu & Koltun 2016, eq. 2, without the flip of the kernel, as every framework computes it:
    `y[p] = bias + sum_s x[stride * p + dilation * s - before] * weight[s]`, with x = 0 outside itself.

    Args:
        x: Signal (b, c, t), image (b, c, h, w) or volume (b, c, d, h, w).
        weight: Kernel (out, c / groups, *kernel), of any size, even ones too.
        bias: One number an output channel.
        stride: Inputs from one output to the next, one number or one an axis.
        dilation: Inputs from one tap to the next, one number or one an axis.
        padding: `same` gives ceil(size / stride) outputs an axis (see `same_padding`), `valid` pads nothing,
            `causal` pads before the first input only, so that no output depends on a later input; or the
            zeros on both sides, one number or one an axis.
        groups: Channels are split into that many groups that do not see each other.

    Raises:
        ShapeError: If axes or channels do not fit, or the kernel spans more than the padded x.
        ConfigError: If stride, dilation, padding or groups has a value that means nothing.
    """
    layout = _layout(x, weight, stride, dilation, padding, groups)
    # Zeros that are equal on both sides cost no copy of x.
    if all(before == after for before, after in layout.padding):
        symmetric = [before for before, _ in layout.padding]
    else:
        symmetric = [0] * len(layout.padding)
        x = functional.pad(x, [zeros for pair in reversed(layout.padding) for zeros in pair])
    convolve = _CONVOLUTIONS[len(layout.stride)]
    return convolve(x, weight, bias, layout.stride, symmetric, layout.dilation, groups)


def conv_by_definition(
    x: Float[Tensor, "b c *spatial"],
    weight: Float[Tensor, "out c_per_group *kernel"],
    bias: Float[Tensor, " out"] | None = None,
    *,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = "same",
    groups: int = 1,
) -> Float[Tensor, "b out *output"]:
    """What `conv` computes, term by term from its defining sum: slow, and plainly right.

    Yu & Koltun 2016, eq. 2, without the flip. Arguments and errors are those of `conv`.
    """
    layout = _layout(x, weight, stride, dilation, padding, groups)
    inputs = x.unflatten(1, (groups, -1))  # b g c/g *spatial
    kernels = weight.unflatten(0, (groups, -1))  # g out/g c/g *kernel
    y = x.new_zeros((len(x), *kernels.shape[:2], *layout.output_size))  # b g out/g *output
    for p in product(*map(range, layout.output_size)):
        for s in product(*map(range, layout.kernel_size)):
            q = layout.input_position(p, s)
            if all(0 <= i < size for i, size in zip(q, x.shape[2:], strict=True)):
                y[..., *p] += torch.einsum("bgc,goc->bgo", inputs[..., *q], kernels[..., *s])
    y = y.flatten(1, 2)
    return y if bias is None else y + bias.view(-1, *[1] * len(layout.stride))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the taps of a convolution lie; one entry an axis."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    output_size: tuple[int, ...]

    def input_position(self, p: tuple[int, ...], s: tuple[int, ...]) -> tuple[int, ...]:
        """The input that tap s of output p reads; negative or beyond the end in the padding."""
        return tuple(
            stride * output + dilation * tap - before
            for stride, output, dilation, tap, (before, _) in zip(
                self.stride, p, self.dilation, s, self.padding, strict=True
            )
        )


def _layout(
    x: Tensor,
    weight: Tensor,
    stride: int | Sequence[int],
    dilation: int | Sequence[int],
    padding: str | int | Sequence[int],
    groups: int,
) -> _Layout:
    """The validated layout of a convolution."""
    kernel_size = tuple(weight.shape[2:])
    rank = len(kernel_size)
    _check_operands(x, weight, groups)
    strides = _per_axis(stride, rank, "stride", least=1)
    dilations = _per_axis(dilation, rank, "dilation", least=1)
    spans = [effective_kernel_size(k, d) for k, d in zip(kernel_size, dilations, strict=True)]
    match padding:
        case "same":
            pads = [same_padding(k, d) for k, d in zip(kernel_size, dilations, strict=True)]
        case "valid":
            pads = [(0, 0)] * rank
        case "causal":
            pads = [(span - 1, 0) for span in spans]
        case str():
            raise ConfigError(f"padding {padding!r} is unknown; take 'same', 'valid', 'causal' or numbers")
        case _:
            pads = [(zeros, zeros) for zeros in _per_axis(padding, rank, "padding", least=0)]
    sizes = [size + sum(pair) for size, pair in zip(x.shape[2:], pads, strict=True)]
    if any(size < span for size, span in zip(sizes, spans, strict=True)):
        raise ShapeError(
            f"kernel {kernel_size} with dilation {dilations} spans {tuple(spans)}, more than the padded "
            f"input {tuple(sizes)}; pad more or dilate less"
        )
    outputs = [(size - span) // step + 1 for size, span, step in zip(sizes, spans, strides, strict=True)]
    return _Layout(kernel_size, strides, dilations, tuple(pads), tuple(outputs))


def _check_operands(x: Tensor, weight: Tensor, groups: int) -> None:
    rank = weight.ndim - 2
    if rank not in _CONVOLUTIONS:
        raise ShapeError(f"weight has {rank} spatial axes; give (out, in / groups, *kernel) with 1, 2 or 3")
    if x.ndim != weight.ndim:
        raise ShapeError(
            f"x has {x.ndim} axes and weight {weight.ndim}; give x as (batch, channels, *spatial)"
        )
    if groups < 1 or len(weight) % groups:
        raise ConfigError(f"{len(weight)} output channels do not split into {groups} groups; give a divisor")
    if x.shape[1] != weight.shape[1] * groups:
        raise ShapeError(
            f"x has {x.shape[1]} channels, weight takes {weight.shape[1]} for each of {groups} groups; "
            f"give x {weight.shape[1] * groups} channels"
        )


def _per_axis(value: int | Sequence[int], rank: int, name: str, *, least: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, Sequence) else (value,) * rank
    if len(values) != rank:
        raise ShapeError(f"{name} {values} for {rank} spatial axes; give one number, or one an axis")
    if min(values) < least:
        raise ConfigError(f"{name} {value} is too small; give at least {least}")
    return values
