"""Convolutions of a training step on a processor, in bfloat16: backward passes that are right, and fast.

oneDNN's gradient of a dilated kernel is wrong for channels-last maps of most widths (`is_misread`), and right
for channels-first ones. Its backward pass of a large dilated kernel takes up to four times as long as one
matrix product a tap, that of a small kernel half as long. Which one wins depends on layer and processor, so
it is measured.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from atrous.ops.conv_backward import Layout, Pair, data_gradient, is_misread, plain_gradient, weight_gradient_

LEAST_CHANNELS = 256  # with 128 the sums cost more than the products: 241 ms, oneDNN 59 (conv2_2, 2 x Zen 4)
TRIALS = 2  # of each way, in turns; oneDNN compiles in the first
BLOCK = 16  # channels that oneDNN takes together
WORTH = 0.95  # of oneDNN's time, below which matrix products are taken

_Way = Callable[[], Tensor]
_Key = tuple[Any, ...]


class FasterBackward(TorchFunctionMode):
    """While active, heavy 2-D convolutions take the faster backward pass, and misread ones a right one.

    Forward passes are the same. Misread are dilated kernels in bfloat16 on a processor whose gradient oneDNN
    may get wrong (`is_misread`): they get oneDNN's of channels-first maps. Strided 1x1 kernels on fewer than
    16 channels, whose gradients may end the process in float32 too, read the inputs that the stride leaves.

    Heavy are those in bfloat16 (by autocast or by type) on a processor with stride 1, one group and at least
    256 channels in and out, in any network. The first gradients of every shape come from oneDNN and from
    matrix products in turns, which are timed; the faster way stays. So which of two roundings a gradient has
    may differ between runs, unless `torch.use_deterministic_algorithms` asks for oneDNN's everywhere.

    Gradients are right to 3e-3, as oneDNN's in bfloat16 are, and cannot be differentiated again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.contest = Contest()

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Any function of PyTorch: a heavy convolution by ours, all others as they are."""
        given = kwargs or {}
        if func is functional.conv2d and not types:  # of plain tensors
            call = _Call(*args, **given)
            if call.is_overrun():
                return func(*call.thinned())
            is_heavy = call.is_heavy()
            if is_heavy or call.is_misread():
                contest = self.contest if is_heavy else None
                return _Convolution.apply(call.input, call.weight, call.bias, call.layout(), contest)
        return func(*args, **given)


class Contest:
    """Which of two ways is faster, by key: they take turns while they are timed, then the faster stays."""

    def __init__(self) -> None:
        self.seconds: dict[_Key, tuple[list[float], list[float]]] = {}

    def run(self, key: _Key, first: _Way, second: _Way) -> Tensor:
        """The result of one of the two; the first stays unless the second is clearly faster."""
        ways, seconds = (first, second), self.seconds.setdefault(key, ([], []))
        if len(seconds[1]) == TRIALS:
            return ways[min(seconds[1]) < WORTH * min(seconds[0])]()
        turn = len(seconds[0]) > len(seconds[1])
        started = time.perf_counter()
        result = ways[turn]()
        seconds[turn].append(time.perf_counter() - started)
        return result


@dataclass(frozen=True, slots=True)
class _Call:
    """The arguments of `functional.conv2d`."""

    input: Tensor
    weight: Tensor
    bias: Tensor | None = None
    stride: int | Sequence[int] = 1
    padding: str | int | Sequence[int] = 0
    dilation: int | Sequence[int] = 1
    groups: int = 1

    def is_heavy(self) -> bool:
        """Whether products by taps are worth a try."""
        return (
            self._is_trained_in_bfloat16()
            and min(self.weight.shape[:2]) >= LEAST_CHANNELS
            and self.groups == 1
            and _pair(self.stride) == (1, 1)
            and not isinstance(self.padding, str)
            and not torch.are_deterministic_algorithms_enabled()
        )

    def is_misread(self) -> bool:
        """Whether oneDNN may get the kernel's gradient wrong."""
        channels = self.weight.shape[1] * self.groups
        return self._is_trained_in_bfloat16() and self._is_even() and is_misread(channels, self.layout())

    def is_overrun(self) -> bool:
        """Whether oneDNN may write beyond its memory: a strided 1x1 kernel on few channels, of any type."""
        return (
            self._is_trained()
            and self.weight.shape[2:] == (1, 1)
            and self.weight.shape[1] * self.groups < BLOCK
            and max(_pair(self.stride)) > 1
            and self.padding in (0, (0, 0), "valid", "same")
        )

    def thinned(self) -> tuple[Any, ...]:
        """Arguments of the same convolution without a stride, of the inputs alone that it reads."""
        rows, columns = _pair(self.stride)
        return self.input[..., ::rows, ::columns], self.weight, self.bias, 1, 0, 1, self.groups

    def layout(self) -> Layout:
        """With padding as numbers."""
        padding = self.padding
        if isinstance(padding, str):
            padding = [length // 2 for length in self._reach()] if padding == "same" else 0
        return Layout(_pair(padding), _pair(self.dilation), _pair(self.stride), self.groups)

    def _is_even(self) -> bool:
        """Whether the padding is the same on both sides; PyTorch's "same" may have one more at the end."""
        return self.padding != "same" or not any(length % 2 for length in self._reach())

    def _reach(self) -> list[int]:
        """Inputs from the first tap to the last, along both axes."""
        return [d * (k - 1) for d, k in zip(_pair(self.dilation), self.weight.shape[2:], strict=True)]

    def _is_trained(self) -> bool:
        return self.input.device.type == "cpu" and self.input.ndim == 4 and torch.is_grad_enabled()

    def _is_trained_in_bfloat16(self) -> bool:
        if not self._is_trained():
            return False
        if torch.is_autocast_enabled("cpu"):
            return torch.get_autocast_dtype("cpu") == torch.bfloat16
        return self.input.dtype == self.weight.dtype == torch.bfloat16


def _pair(value: int | Sequence[int]) -> Pair:
    """One number for both axes, or one for each."""
    rows, columns = (value, value) if isinstance(value, int) else value
    return rows, columns


class _Convolution(torch.autograd.Function):
    """`functional.conv2d` in bfloat16, with a choice of backward passes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, layout: Layout, contest: Contest | None
    ) -> Tensor:
        ctx.layout, ctx.contest, ctx.weight_dtype = layout, contest, weight.dtype
        x, weight = x.to(torch.bfloat16), weight.to(torch.bfloat16)
        ctx.save_for_backward(x, weight)
        bias = None if bias is None else bias.to(torch.bfloat16)
        return functional.conv2d(
            x, weight, bias, layout.stride, layout.padding, layout.dilation, layout.groups
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (grad,) = gradients
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        of_x = of_weight = of_bias = None
        if needs_x:
            of_x = _gradient_of_input(ctx, grad, x, weight)
        if needs_weight:
            of_weight = _gradient_of_kernel(ctx, grad, x, weight)
        if needs_bias:
            of_bias = grad.sum((0, 2, 3), dtype=torch.float32)
        return of_x, of_weight, of_bias, None, None


def _gradient_of_input(ctx: Any, grad: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    padding, dilation = ctx.layout.padding, ctx.layout.dilation
    return _chosen(
        ctx,
        ("x", x.shape, weight.shape, padding, dilation),
        lambda: plain_gradient(0, grad, x, weight, ctx.layout),
        lambda: data_gradient(grad, weight, x.shape[2:], padding=padding, dilation=dilation),
    )


def _gradient_of_kernel(ctx: Any, grad: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    padding, dilation = ctx.layout.padding, ctx.layout.dilation
    result = torch.empty_like(weight, dtype=ctx.weight_dtype)  # in the kernel's memory order
    return _chosen(
        ctx,
        ("weight", x.shape, weight.shape, padding, dilation),
        lambda: result.copy_(plain_gradient(1, grad, x, weight, ctx.layout)),
        lambda: weight_gradient_(result, grad, x, padding=padding, dilation=dilation),
    )


def _chosen(ctx: Any, key: _Key, plain: _Way, by_taps: _Way) -> Tensor:
    """The faster of two ways where they compete; else PyTorch's own."""
    return plain() if ctx.contest is None else ctx.contest.run(key, plain, by_taps)
