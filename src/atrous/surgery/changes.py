"""What is done to one module of a network that becomes dense; each change returns the module to put there."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.surgery.phases import InPhases, Slot
from atrous.surgery.pools import DenseAvgPool, DenseMaxPool, fitting
from atrous.surgery.windows import DenseAxis


@runtime_checkable
class Change(Protocol):
    """A change to one module."""

    def apply_(self, module: nn.Module) -> nn.Module:
        """Changes the module, or makes another; returns what belongs in its place."""
        ...


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a network.

    Attributes:
        path: Of the module; empty for the network itself.
        what: The change in words: "stride 2 -> 1".
        change: What does it.
    """

    path: str
    what: str
    change: Change


@dataclass(frozen=True, slots=True)
class Dilate:
    """A convolution's own stride, dilation and padding on the dense map, its weight and forward untouched."""

    axes: tuple[DenseAxis, ...]

    def apply_(self, module: nn.Module) -> nn.Module:
        """Sets the numbers; where they alone do not give the right size, a hook pads."""
        assert isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        module.stride = tuple(axis.dense_stride for axis in self.axes)  # type: ignore[assignment]
        module.dilation = tuple(axis.dense_dilation for axis in self.axes)  # type: ignore[assignment]
        if module.padding_mode != "zeros":
            return module
        if any(axis.rounding == "same" for axis in self.axes):
            SameShift(self.axes).attach_(module)
            return module
        if self.fits:
            padding = tuple(axis.dense_padding[0] for axis in self.axes)
        else:
            padding = (0,) * len(self.axes)
            module.register_forward_pre_hook(Fit(self.axes))
        module.padding = padding  # type: ignore[assignment]
        module._reversed_padding_repeated_twice = [zeros for zeros in reversed(padding) for _ in range(2)]
        return module

    @property
    def fits(self) -> bool:
        """Whether the module's own, symmetric padding is enough."""
        return all(
            axis.needs_no_fitting and axis.dense_padding[0] == axis.dense_padding[1] for axis in self.axes
        )


@dataclass(frozen=True, slots=True)
class Fit:
    """A hook that pads a convolution's input by what depends on its size."""

    axes: tuple[DenseAxis, ...]

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ARG002 (hook)
        """Before the module."""
        return functional.pad(args[0], fitting(self.axes, args[0])), *args[1:]


class SameShift:
    """Hooks for a convolution whose own forward pads for ceil(size / stride) cells, as TensorFlow does.

    At stride 1 it would pad half of the kernel's span on each side, where the original, at its stride, padded
    less before. So the input is longer by that much at its end, and as many cells go from the result's start.
    """

    def __init__(self, axes: tuple[DenseAxis, ...]) -> None:
        self.axes = axes
        self.sizes = Slot()

    def attach_(self, module: nn.Module) -> None:
        """Hooks the pair to a module."""
        module.register_forward_pre_hook(self.lengthen)
        module.register_forward_hook(self.cut, prepend=True)

    def lengthen(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ARG002 (hook)
        """Before the module."""
        x: Tensor = args[0]
        self.sizes.put(tuple(x.shape[2:]))
        amounts = [cells for shift in reversed(self._shifts(x.shape[2:])) for cells in (0, shift)]
        return functional.pad(x, amounts), *args[1:]

    def cut(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:  # noqa: ARG002 (hook)
        """After the module."""
        sizes = self.sizes.take()
        parts = [
            slice(None) if axis.spread == (1, 1) else slice(shift, shift + axis.dense_size(size))
            for axis, shift, size in zip(self.axes, self._shifts(sizes), sizes, strict=True)
        ]
        return output[(..., *parts)]

    def _shifts(self, sizes: Any) -> list[Any]:
        return [
            0
            if axis.spread == (1, 1)
            else (axis.kernel_size - 1) * axis.dense_dilation // 2 - axis.fitting(size)[0]
            for axis, size in zip(self.axes, sizes, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Pool:
    """A dense pool in the place of a pool.

    Attributes:
        axes: Its window along each axis.
        is_max: Whether it takes the maximum; otherwise the mean.
        counts_padding: Whether a mean counts the padding.
        divisor: What a mean's sums are divided by, where that is given.
    """

    axes: tuple[DenseAxis, ...]
    is_max: bool
    counts_padding: bool = True
    divisor: int | None = None

    def apply_(self, module: nn.Module) -> nn.Module:
        """A new pool, in the mode of the old one."""
        pool = (
            DenseMaxPool(self.axes)
            if self.is_max
            else DenseAvgPool(self.axes, counts_padding=self.counts_padding, divisor=self.divisor)
        )
        return pool.train(module.training)


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing in the place of a pool."""

    def apply_(self, module: nn.Module) -> nn.Module:
        """The identity."""
        return nn.Identity().train(module.training)


@dataclass(frozen=True, slots=True)
class Widen:
    """The padding of a module that only pads with a constant, on the dense map."""

    spread: tuple[int, ...]

    def apply_(self, module: nn.Module) -> nn.Module:
        """Multiplies its numbers."""
        module.padding = self.dense(module.padding)  # type: ignore[assignment, arg-type]
        return module

    def dense(self, padding: tuple[int, ...]) -> tuple[int, ...]:
        """The numbers multiplied; they stand last axis first, two for each."""
        steps = [step for step in reversed(self.spread) for _ in range(2)]
        return tuple(cells * step for cells, step in zip(padding, steps, strict=False))


@dataclass(frozen=True, slots=True)
class RunInPhases:
    """A module that runs on every interleaved grid of the dense map.

    Attributes:
        spread: Dense cells from one original cell to the next, (input, output), one pair an axis.
    """

    spread: tuple[tuple[int, int], ...]

    def apply_(self, module: nn.Module) -> nn.Module:
        """Hooks the splitting and joining to it."""
        InPhases(self.spread).attach_(module)
        return module


def replace_(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Puts a module in another's place, wherever the network has it."""
    for parent in list(network.modules()):
        for name, child in parent._modules.items():
            if child is old:
                parent._modules[name] = new


def per_axis(value: Any, rank: int) -> tuple[int, ...]:
    """One number an axis."""
    return tuple(int(v) for v in value) if isinstance(value, tuple | list | torch.Size) else (int(value),) * rank


def in_words(values: Any) -> str:
    """`2` where all values are the same, `2x1` where not; a pair of two numbers is `0+1`."""
    parts = [
        str(value) if isinstance(value, int) else in_words(value).replace("x", "+")
        for value in ([values] if isinstance(values, int) else values)
    ]
    return parts[0] if len(set(parts)) == 1 else "x".join(parts)
