"""How a convolution or pool lies on a map that became denser: stride, dilation, padding, size of one axis."""

from dataclasses import dataclass
from typing import Any, Literal

import torch

from atrous.geometry.axis import effective_kernel_size

Rounding = Literal["floor", "ceil", "same"]


@dataclass(frozen=True, slots=True)
class DenseAxis:
    """One axis of a layer: as it was, and how much denser the maps before and after it become.

    FACTS: take the stride out of a layer, leave that layer's dilation as it was, and multiply dilation and
    padding of everything below by the stride removed. Original cell i then lies at dense cell `i * spread`.

    All sizes may be symbolic, so that a dense network exports with a dynamic height and width.

    Attributes:
        kernel_size: Number of taps.
        stride: Original stride.
        dilation: Original dilation.
        padding: Original cells added before and after; not used where rounding is `same`.
        spread: Dense cells from one original cell to the next, in the input and in the output.
        rounding: How windows that do not fit are counted: `floor` drops them, `ceil` lets the last one run
            over the end as PyTorch's pools do, `same` pads for ceil(size / stride) of them (TensorFlow).
    """

    kernel_size: int
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)
    spread: tuple[int, int] = (1, 1)
    rounding: Rounding = "floor"

    @property
    def dense_stride(self) -> int:
        """The stride that is left."""
        return self.stride * self.spread[0] // self.spread[1]

    @property
    def dense_dilation(self) -> int:
        """The dilation on the dense map."""
        return self.dilation * self.spread[0]

    @property
    def dense_padding(self) -> tuple[int, int]:
        """The padding on the dense map, where it does not depend on the size."""
        return self.padding[0] * self.spread[0], self.padding[1] * self.spread[0]

    @property
    def needs_no_fitting(self) -> bool:
        """Whether stride, dilation and padding alone give the size that is wanted, for every input."""
        return self.rounding == "floor" and (self.stride == 1 or not 0 < abs(self._excess) < self.stride)

    def original_padding(self, size: Any) -> tuple[Any, Any]:
        """Cells that the original layer adds to an input of `size` original cells."""
        if self.rounding != "same":
            return self.padding
        span = effective_kernel_size(self.kernel_size, self.dilation)
        total = torch.sym_max((_ceil(size, self.stride) - 1) * self.stride + span - size, 0)
        return total // 2, total - total // 2

    def original_cells(self, size: Any) -> Any:
        """Cells that the original layer makes of `size` original cells."""
        if self.rounding == "same":
            return _ceil(size, self.stride)
        steps = size - 1 + self._excess
        if self.rounding == "floor":
            return steps // self.stride + 1
        # PyTorch: the last window must begin inside the input or in the padding before it.
        return torch.sym_min(_ceil(steps, self.stride), (size + self.padding[0] - 1) // self.stride) + 1

    def dense_size(self, size: Any) -> Any:
        """Cells that the dense layer makes of `size` dense cells.

        Every `spread[1]`-th of them is one original cell, and none is missing. Within that, layers that
        nearly keep the size keep ceil(size / stride), so that branches of unlike kernels still fit together.
        """
        if self.needs_no_fitting:
            return (size - 1 + self.spread[0] * self._excess) // self.dense_stride + 1
        cells = self.original_cells(_ceil(size, self.spread[0]))
        least, most = (cells - 1) * self.spread[1] + 1, cells * self.spread[1]
        return torch.sym_min(torch.sym_max(_ceil(size, self.dense_stride), least), most)

    def fitting(self, size: Any) -> tuple[Any, Any]:
        """Cells to add before and after `size` dense cells for windows without padding of their own."""
        before = self.original_padding(_ceil(size, self.spread[0]))[0] * self.spread[0]
        span = effective_kernel_size(self.kernel_size, self.dense_dilation)
        return before, (self.dense_size(size) - 1) * self.dense_stride + span - size - before

    @property
    def _excess(self) -> int:
        """Cells that the layer would add to a map at stride 1."""
        return sum(self.padding) - self.dilation * (self.kernel_size - 1)


def _ceil(numerator: Any, denominator: int) -> Any:
    return (numerator + denominator - 1) // denominator
