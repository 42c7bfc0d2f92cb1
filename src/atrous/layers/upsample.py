"""Upsampling as a layer, where a network was published with one; `ops.resample` does it for all others."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError
from atrous.layers.upsample_features import crop_to


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


class LearnedDoubling(nn.Module):
    """Transposed convolution that starts as linear interpolation onto cells half as far apart, and learns.

    Long et al. 2015, section 3.3. Beyond the border the outermost cells repeat, as in all interpolation here.

    Args:
        channels: In and out; each reads all others once it has learned to.
        shift: (center of the fine cells - center of the coarse ones) / stride of the fine ones: 0, or -1/2
            where pools join cells.

    Raises:
        ConfigError: If the shift is neither.
    """

    def __init__(self, channels: int, *, shift: float) -> None:
        super().__init__()
        if shift not in _DOUBLINGS:
            raise ConfigError(f"a shift of {shift} cells is not interpolated; give 0 or -0.5")
        taps, self.repeated, padding = _DOUBLINGS[shift]
        self.conv = nn.ConvTranspose2d(channels, channels, len(taps), stride=2, padding=padding, bias=False)
        hat = torch.tensor(taps)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[range(channels), range(channels)] = hat[:, None] * hat

    def forward(
        self, features: Float[Tensor, "b c y x"], like: Float[Tensor, "b _k h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Features at the cells of `like`, of which there are at most twice as many on each axis."""
        wider = functional.pad(features, self.repeated, mode="replicate")
        return crop_to(self.conv(wider), *like.shape[2:])


# By shift: weights along an axis, cells repeated at the borders, and those of the result that they made.
_DOUBLINGS = {
    0.0: ((0.5, 1.0, 0.5), (0, 1, 0, 1), 1),
    -0.5: ((0.25, 0.75, 0.75, 0.25), (1, 1, 1, 1), 3),
}
