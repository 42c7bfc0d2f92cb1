"""Pyramids: one map seen at several scales side by side, by dilation or by pooling."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from atrous.layers.blocks import conv_norm_relu


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: dilated convolutions and the mean of the image side by side.

    Chen et al. 2017, "Rethinking atrous convolution", figure 5; names as torchvision's.

    Args:
        in_channels: Of the features.
        dilations: Of the 3x3 branches, beside which stand a 1x1 and the pooled one.
        channels: Of every branch, and out.
        dropout: Share of the values dropped at the end while training.
        conv: Makes the 3x3 branches, from channels, kernel size and dilation.
    """

    def __init__(
        self,
        in_channels: int,
        dilations: Sequence[int],
        *,
        channels: int = 256,
        dropout: float = 0.5,
        conv: Callable[..., nn.Module] = conv_norm_relu,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                conv_norm_relu(in_channels, channels, 1),
                *(conv(in_channels, channels, 3, dilation=dilation) for dilation in dilations),
                ImagePooling(in_channels, channels),
            ]
        )
        joined = conv_norm_relu(len(self.convs) * channels, channels, 1)
        self.project = nn.Sequential(*joined, nn.Dropout(dropout))

    def forward(self, features: Float[Tensor, "b _c h w"]) -> Float[Tensor, "b _k h w"]:
        """Features of the same size."""
        return self.project(torch.cat([branch(features) for branch in self.convs], dim=1))


class ImagePooling(nn.Sequential):
    """The mean of every feature over the whole image, through a 1x1 convolution, at every cell."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *conv_norm_relu(in_channels, channels, 1))

    def forward(self, input: Float[Tensor, "b _c h w"]) -> Float[Tensor, "b _k h w"]:
        """The same values at every cell."""
        return super().forward(input).expand(-1, -1, *input.shape[2:])


class PyramidPooling(nn.Module):
    """Features, and their means over grids of few bins, interpolated back to every cell.

    Zhao et al. 2017, "Pyramid scene parsing network", section 3.2.

    Args:
        in_channels: Of the features.
        bins: A side, of each grid; their channels are `in_channels` in all.
    """

    def __init__(self, in_channels: int, bins: Sequence[int]) -> None:
        super().__init__()
        channels = in_channels // len(bins)
        self.channels = in_channels + len(bins) * channels
        self.grids = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), *conv_norm_relu(in_channels, channels, 1))
            for side in bins
        )

    def forward(self, features: Float[Tensor, "b _c h w"]) -> Float[Tensor, "b _k h w"]:
        """Features of the same size, and more of them."""
        size = features.shape[2:]
        spread = [
            functional.interpolate(grid(features), size, mode="bilinear", align_corners=False)
            for grid in self.grids
        ]
        return torch.cat([features, *spread], dim=1)
