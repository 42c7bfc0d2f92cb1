"""Initializations that start a convolution from a known function."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from atrous.errors import ConfigError, ShapeError

Conv = TypeVar("Conv", nn.Conv2d, nn.Conv3d)


def he_normal_(conv: Conv) -> Conv:
    """Make a convolution keep the variance of what a ReLU left, in place: weights N(0, 2 / fan-in), biases 0.

    He et al. 2015, "Delving deep into rectifiers", equation 10.
    """
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def identity_(conv: nn.Conv2d, *, num_groups: int, noise: float = 0.0) -> nn.Conv2d:
    """Make a convolution pass its input on, in place: the start of a context module.

    Yu & Koltun 2016, equations 4 and 5. Both channel counts are multiples of `num_groups` (C in the paper).
    Channel a of c_in belongs to group floor(a * C / c_in); the center tap from a to b is C / c_out where the
    groups agree, everything else is noise. With c_in = c_out = C this is equation 4, the identity. Biases
    are 0.

    Args:
        conv: Changed in place; odd kernel, one group.
        num_groups: C, the number of classes.
        noise: Standard deviation of N(0, noise^2) on all other entries; much less than C / c_out.

    Returns:
        The same convolution.

    Raises:
        ShapeError: If the kernel has no center tap or the channels are no multiples of `num_groups`.
        ConfigError: If the noise is negative.
    """
    if noise < 0:
        raise ConfigError(f"noise {noise} is a standard deviation; give 0 or more")
    if any(side % 2 == 0 for side in conv.kernel_size):
        raise ShapeError(f"kernel {conv.kernel_size} has no center tap; identity needs odd sides")
    if conv.groups != 1 or conv.in_channels % num_groups or conv.out_channels % num_groups:
        raise ShapeError(
            f"{conv.in_channels} -> {conv.out_channels} channels in {conv.groups} group(s) do not divide "
            f"into {num_groups} classes; use multiples of {num_groups} and one group"
        )
    center = tuple(side // 2 for side in conv.kernel_size)
    same_group = (
        _groups(conv.out_channels, num_groups)[:, None] == _groups(conv.in_channels, num_groups)[None]
    )
    with torch.no_grad():
        if noise > 0:
            conv.weight.normal_(0.0, noise)
        else:
            conv.weight.zero_()
        taps = conv.weight[(slice(None), slice(None), *center)]
        taps[same_group] = num_groups / conv.out_channels
        if conv.bias is not None:
            conv.bias.zero_()
    return conv


def _groups(channels: int, num_groups: int) -> Tensor:
    """Group of each channel: floor(a * C / channels)."""
    return torch.arange(channels) * num_groups // channels
