"""Upsampling as a layer, where a network was published with one; `ops.resample` does it for all others."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError


class BilinearUpsampling(nn.Module):
    """Frozen transposed convolution of one group a class that interpolates linearly, half-pixel aligned.

    Caffe's bilinear filler (Long et al. 2015), as the layer `ctx_upsample` of Yu & Koltun's Cityscapes
    network: kernel 16, stride 8, padding 4. Zeros count beyond the border, so that the outermost
    factor / 2 pixels fade, as they do there.

    Args:
        num_classes: Channels in and out.
        factor: Pixels a cell, even.

    Raises:
        ConfigError: If the factor is odd or not positive.
    """

    weight: Tensor

    def __init__(self, num_classes: int, *, factor: int) -> None:
        super().__init__()
        if factor < 2 or factor % 2:
            raise ConfigError(f"factor {factor} cannot be half-pixel aligned; give an even one, such as 8")
        self.num_classes = num_classes
        self.factor = factor
        distance = (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
        hat = 1 - distance
        weight = (hat[:, None] * hat).expand(num_classes, 1, -1, -1)
        self.register_buffer("weight", weight.clone())  # a buffer: no stage of a training thaws it

    def forward(self, logits: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k H W"]:
        """Logits of factor times the height and width."""
        return functional.conv_transpose2d(
            logits, self.weight, stride=self.factor, padding=self.factor // 2, groups=self.num_classes
        )
