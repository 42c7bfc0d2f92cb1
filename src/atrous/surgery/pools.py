"""Pools on maps that became denser: dilated, with padding that is explicit."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.surgery.windows import DenseAxis

_MAX_POOLS = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


class DenseMaxPool(nn.Module):
    """The maximum over the original pool's window, at every dense cell.

    The padding is explicit, since PyTorch lets a max pool pad by half its kernel only, dilated or not.
    """

    def __init__(self, axes: Sequence[DenseAxis]) -> None:
        super().__init__()
        self.axes = tuple(axes)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, *spatial) -> (b, c, *spatial / stride that is left)."""
        padded = functional.pad(x, fitting(self.axes, x), value=-torch.inf)
        return _MAX_POOLS[len(self.axes)](
            padded,
            [axis.kernel_size for axis in self.axes],
            stride=[axis.dense_stride for axis in self.axes],
            dilation=[axis.dense_dilation for axis in self.axes],
        )

    def extra_repr(self) -> str:
        """What is printed of it."""
        return describe(self.axes)


class DenseAvgPool(nn.Module):
    """The mean over the original pool's window, at every dense cell, by a dilated depthwise convolution.

    Args:
        axes: The window along each axis.
        counts_padding: Whether cells in the padding count as zeros, or not at all.
        divisor: What sums are divided by; None for the number of cells that count, fewer at the borders.
    """

    def __init__(self, axes: Sequence[DenseAxis], *, counts_padding: bool, divisor: int | None) -> None:
        super().__init__()
        self.axes = tuple(axes)
        self.counts_padding = counts_padding
        self.divisor = divisor

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, *spatial) -> (b, c, *spatial / stride that is left)."""
        total = self._sum(functional.pad(x, fitting(self.axes, x)))
        return total / (self.divisor or self._count(x))

    def extra_repr(self) -> str:
        """What is printed of it."""
        return f"{describe(self.axes)}, counts_padding={self.counts_padding}, divisor={self.divisor}"

    def _sum(self, x: Tensor) -> Tensor:
        ones = x.new_ones((x.shape[1], 1, *(axis.kernel_size for axis in self.axes)))
        return _CONVOLUTIONS[len(self.axes)](
            x,
            ones,
            stride=[axis.dense_stride for axis in self.axes],
            dilation=[axis.dense_dilation for axis in self.axes],
            groups=x.shape[1],
        )

    def _count(self, x: Tensor) -> Tensor:
        """Cells of each window that count, (1, 1, *spatial)."""
        counting = x.new_ones((1, 1, *x.shape[2:]))
        amounts = fitting(self.axes, x)
        if self.counts_padding:
            own = [
                cells
                for axis, size in zip(reversed(self.axes), reversed(x.shape[2:]), strict=True)
                for cells in own_padding(axis, size)
            ]
            counting = functional.pad(counting, own, value=1.0)
            amounts = [amount - done for amount, done in zip(amounts, own, strict=True)]
        return self._sum(functional.pad(counting, amounts)).clamp(min=1)


def own_padding(axis: DenseAxis, size: Any) -> tuple[Any, Any]:
    """The original padding on the dense grid, without what fitting adds for the size."""
    before, after = axis.original_padding((size + axis.spread[0] - 1) // axis.spread[0])
    return before * axis.spread[0], after * axis.spread[0]


def fitting(axes: Sequence[DenseAxis], x: Tensor) -> list[Any]:
    """Cells to add to x, in the order of `torch.nn.functional.pad`."""
    return [
        cells
        for axis, size in zip(reversed(axes), reversed(x.shape[2:]), strict=True)
        for cells in axis.fitting(size)
    ]


def describe(axes: Sequence[DenseAxis]) -> str:
    """Kernel, stride and dilation in words."""
    return (
        f"kernel_size={tuple(axis.kernel_size for axis in axes)}, "
        f"stride={tuple(axis.dense_stride for axis in axes)}, "
        f"dilation={tuple(axis.dense_dilation for axis in axes)}"
    )
