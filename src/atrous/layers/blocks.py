"""Blocks that several networks share."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from atrous.layers.init import he_normal_


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


def padded_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Conv2d:
    """A convolution without bias, padded symmetrically round the cell it is centered on.

    Args:
        in_channels: Of the features.
        out_channels: Out.
        kernel_size: Odd.
        stride: In cells; 1 keeps the size.
        dilation: In cells.
        groups: Of channels that see only each other.
    """
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=dilation * (kernel_size - 1) // 2,
        dilation=dilation,
        groups=groups,
        bias=False,
    )
    return he_normal_(conv)


def conv_norm_relu(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """A convolution as `padded_conv`, with the same arguments, batch normalization, ReLU."""
    conv = padded_conv(
        in_channels, out_channels, kernel_size, stride=stride, dilation=dilation, groups=groups
    )
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def separable_norm_relu(
    in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1
) -> nn.Sequential:
    """A convolution in every channel, then one across channels, each with batch normalization and ReLU.

    Args:
        in_channels: Of the features.
        out_channels: Out.
        kernel_size: Odd; of the first.
        dilation: Of the first.
    """
    return nn.Sequential(
        conv_norm_relu(in_channels, in_channels, kernel_size, dilation=dilation, groups=in_channels),
        conv_norm_relu(in_channels, out_channels, 1),
    )
