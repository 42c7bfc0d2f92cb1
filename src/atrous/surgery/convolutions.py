"""Convolutions on maps that became denser: other numbers, and hooks where numbers are not enough."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from atrous.surgery.phases import Slot
from atrous.surgery.pools import fitting
from atrous.surgery.windows import DenseAxis


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
