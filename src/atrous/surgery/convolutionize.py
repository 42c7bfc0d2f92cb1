"""A classifier's head on every cell of its last map: linear layers become 1x1 and wider convolutions."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.surgery.phases import Slot

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@dataclass(slots=True)
class Rows:
    """The untouched head, run on each cell as if it were a batch of images of one cell.

    A pool over one cell is that cell, so that a linear layer becomes the 1x1 convolution with its weight.
    """

    kept: Slot

    def hand_over(self, features: Tensor) -> Tensor:
        """The map (b, c, *spatial) as (b * cells, c, 1, ...)."""
        self.kept.put((features.shape[0], *features.shape[2:]))
        return _to_rows(features).unflatten(1, (-1, *[1] * (features.ndim - 2)))

    def finish(self, output: Tensor) -> Tensor:
        """The head's results, (b * cells, k), as a map (b, k, *spatial)."""
        return _to_map(output, self.kept.take())


@dataclass(slots=True)
class Windows:
    """Remembers how wide the map was that a head flattens, for the layer that becomes a convolution."""

    kept: Slot

    def hand_over(self, features: Tensor) -> Tensor:
        """The map as it is."""
        self.kept.put(tuple(features.shape[2:]))
        return features

    def finish(self, output: Tensor) -> Tensor:
        """The head's results, (b * windows, k), as a map (b, k, *spatial)."""
        return _to_map(output, self.kept.take())


@dataclass(frozen=True, slots=True)
class OneWindow:
    """The untouched head on the map's middle window, to compare with: what a dense head must give there.

    Attributes:
        window: Cells along each axis; empty for one cell, which then fills the whole map.
    """

    window: tuple[int, ...]

    def hand_over(self, features: Tensor) -> Tensor:
        """The middle window."""
        sizes = features.shape[2:]
        spans = self.window or (1,) * len(sizes)
        starts = [(size - span + 1) // 2 for size, span in zip(sizes, spans, strict=True)]
        for dim, (start, span) in enumerate(zip(starts, spans, strict=True), start=2):
            features = features.narrow(dim, start, span)
        return features if self.window else features.expand(*features.shape[:2], *sizes).contiguous()

    def finish(self, output: Tensor) -> Tensor:
        """The head's result as it is."""
        return output


class WindowLinear(nn.Linear):
    """A linear layer on flattened windows of a map, as the convolution that it is: VGG's fc6.

    Weight and bias stay as they are, under their names. It takes the flattened map (b, c * cells) and returns
    rows (b * windows, out), so that what follows needs no change.
    """

    window: tuple[int, ...]
    spread: tuple[int, ...]
    kept: Slot

    def forward(self, input: Tensor) -> Tensor:
        """(b, c * cells) -> (b * windows, out); the map's size comes from the slot."""
        features = input.unflatten(1, (-1, *self.kept.take()))
        kernel = self.weight.unflatten(1, (-1, *self.window))
        convolve = _CONVOLUTIONS[len(self.window)]
        result = convolve(features, kernel, self.bias, dilation=self.spread)
        self.kept.put((result.shape[0], *result.shape[2:]))
        return _to_rows(result)


@dataclass(frozen=True, slots=True)
class Convolve:
    """A linear layer that becomes a convolution where it stands.

    Attributes:
        window: Cells along each axis that it takes at once.
        spread: Dense cells from one of them to the next.
        kept: Where the head's hooks leave the size of the map.
    """

    window: tuple[int, ...]
    spread: tuple[int, ...]
    kept: Slot

    def apply_(self, module: nn.Module) -> nn.Module:
        """The same layer, of another class."""
        module.__class__ = WindowLinear
        module.window, module.spread, module.kept = self.window, self.spread, self.kept  # type: ignore[assignment]
        return module


def _to_rows(features: Tensor) -> Tensor:
    """(b, c, *spatial) -> (b * cells, c)."""
    return features.permute(0, *range(2, features.ndim), 1).flatten(0, -2).contiguous()


def _to_map(rows: Tensor, size: tuple[Any, ...]) -> Tensor:
    """(b * cells, k) -> (b, k, *spatial), where size is (b, *spatial)."""
    cells = torch.flatten(rows, 1).unflatten(0, size)
    return cells.permute(0, -1, *range(1, len(size))).contiguous()
