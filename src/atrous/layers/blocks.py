"""Blocks that several networks share."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class CeilMaxPool(nn.Module):
    """Max pooling 2x2, stride 2, that keeps the last odd row and column, as Caffe rounds.

    The same function as `nn.MaxPool2d(2, 2, ceil_mode=True)`, written as padding by -inf and a floor pool
    where a side is dynamic: in an exported program it does not say whether it is odd, as ceil mode asks.
    """

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c y x"]:
        """Halves height and width, rounding up."""
        if any(isinstance(side, torch.SymInt) for side in images.shape[2:]):
            return functional.max_pool2d(functional.pad(images, (0, 1, 0, 1), value=float("-inf")), 2, 2)
        return functional.max_pool2d(images, 2, 2, ceil_mode=True)
