"""Means over a grid of bins as two matrix products, which any runtime has."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.ops.length import Length


class BinMeans(nn.Module):
    """What `nn.AdaptiveAvgPool2d` computes.

    Of s cells along an axis, bin i of n is the mean of those from floor(i s / n) up to ceil((i + 1) s / n).

    Args:
        bins: Along each axis.
    """

    def __init__(self, bins: tuple[int, int]) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, features: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c bins_y bins_x"]:
        """The mean of every bin; neighbors may overlap by a cell."""
        rows, columns = (
            _shares(bins, side, features) for bins, side in zip(self.bins, features.shape[2:], strict=True)
        )
        return rows @ features @ columns.T


def _shares(bins: int, side: Length, like: Tensor) -> Float[Tensor, "bins side"]:
    """Weight of each cell in each bin."""
    number = torch.arange(bins, device=like.device)[:, None]
    cell = torch.arange(side, device=like.device)
    length = cell.new_full((), side)
    first = torch.div(number * length, bins, rounding_mode="floor")
    after = -torch.div(-(number + 1) * length, bins, rounding_mode="floor")
    inside = ((cell >= first) & (cell < after)).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)
