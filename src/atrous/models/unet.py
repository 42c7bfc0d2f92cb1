"""U-Net (Ronneberger et al. 2015, figure 1): down to stride 16 and up again, with skips.

| part         | layers                                                  | channels  | 572 px, valid     |
|--------------|---------------------------------------------------------|-----------|-------------------|
| down 1 .. 4  | two 3x3 convolutions each, a 2x2 max pool after         | 64 .. 512 | 568, 280, 136, 64 |
| bottom       | two 3x3 convolutions                                    | 1024      | 28                |
| up 4 .. 1    | a 2x2 transposed convolution beside down 4 .. 1, two 3x3| 512 .. 64 | 52, 100, 196, 388 |
| final        | 1x1                                                     | classes   | 388               |

Valid convolutions lose 92 px on every side, which the caller adds by reflection, as the paper does. Any
size of image works: pools keep the last odd row and column, and what comes up is cut to the size of what it
meets; at the paper's 388 px, and at every 16 px more or less, nothing is. Dropout ends the contracting path.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError
from atrous.layers.blocks import CeilMaxPool
from atrous.layers.init import he_normal_
from atrous.layers.upsample_features import crop_to
from atrous.models.backbone_unet import unet_on
from atrous.models.contract import PLAIN_RGB, DenseNetwork, LogitGeometry

WIDTH = 64  # channels of the first stage
NUM_POOLS = 4
RECEPTIVE_FIELD = 204  # of 12 pixels in 16; the others see 188
MARGIN = 92  # (572 - 388) / 2
LOST = (
    88,
    40,
    16,
    4,
)  # cells that valid convolutions cut from each side of down1 .. down4 until they are met
DROPOUT = 0.5  # after down 4 and bottom; section 3.1 names no share


class UNet(DenseNetwork):
    """The network of figure 1, for colors and any number of classes.

    Args:
        num_classes: Number of labels.
        padding: "same", or "none": the paper's, that wants a reflected margin of 92 px.
        width: Channels of the first stage, which every pool doubles; 64 as published.
        normalizes: Whether batch normalization follows every 3x3 convolution; not as published.

    Raises:
        ConfigError: If the padding is neither, or the width not positive.
    """

    def __init__(
        self, num_classes: int, *, padding: str = "same", width: int = WIDTH, normalizes: bool = False
    ) -> None:
        super().__init__()
        if padding not in ("none", "same"):
            raise ConfigError(f'the padding of a U-Net is "none" or "same", not "{padding}"')
        if width < 1:
            raise ConfigError(f"a U-Net {width} channels wide is none; give at least 1, or 64 as published")
        is_padded = padding == "same"
        self.num_classes = num_classes
        self.normalization = PLAIN_RGB
        self.geometry = LogitGeometry(1, 0.0, RECEPTIVE_FIELD, 0 if is_padded else MARGIN)
        self.lost = (0,) * NUM_POOLS if is_padded else LOST
        widths = [width * 2**stage for stage in range(NUM_POOLS + 1)]

        def pair(in_channels: int, channels: int) -> nn.Sequential:
            return _two_convolutions(in_channels, channels, is_padded=is_padded, normalizes=normalizes)

        self.down = nn.ModuleList(map(pair, (3, *widths), widths[:-1]))
        self.pool = CeilMaxPool()
        self.dropout = nn.Dropout(DROPOUT)
        self.bottom = pair(widths[-2], widths[-1])
        self.enlarge = nn.ModuleList(map(_doubling, widths[1:], widths[:-1]))
        self.up = nn.ModuleList(map(pair, widths[1:], widths[:-1]))
        self.final = nn.Conv2d(width, num_classes, 1)
        nn.init.zeros_(self.final.bias)  # type: ignore[arg-type]

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        """Logits at every pixel inside the margin."""
        features, passed = images, []
        for stage, layers in enumerate(self.down, start=1):
            features = layers(features)
            if stage == NUM_POOLS:
                features = self.dropout(features)
            passed.append(features)
            features = self.pool(features)
        features = self.dropout(self.bottom(features))
        for stage in reversed(range(NUM_POOLS)):
            beside = functional.pad(passed[stage], (-self.lost[stage],) * 4)
            above = crop_to(self.enlarge[stage](features), *beside.shape[2:])
            features = self.up[stage](torch.cat([beside, above], dim=1))
        return self.final(features)

    def class_layers(self) -> Sequence[str]:
        """The last."""
        return ("final.",)

    def new_layers(self) -> Sequence[str]:
        """Everything: nothing is pretrained."""
        return ("down.", "bottom.", "enlarge.", "up.", "final.")


def _two_convolutions(in_channels: int, channels: int, *, is_padded: bool, normalizes: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for given in (in_channels, channels):
        conv = nn.Conv2d(given, channels, 3, padding=1 if is_padded else 0, bias=not normalizes)
        norm = [nn.BatchNorm2d(channels)] if normalizes else []
        layers += [he_normal_(conv), *norm, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _doubling(in_channels: int, channels: int) -> nn.ConvTranspose2d:
    """A 2x2 transposed convolution: each cell writes four, and no two write one."""
    conv = nn.ConvTranspose2d(in_channels, channels, 2, stride=2)
    nn.init.normal_(conv.weight, 0.0, (2 / in_channels) ** 0.5)  # section 3: sqrt(2 / incoming nodes)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def unet(num_classes: int = 21, *, backbone: str = "") -> DenseNetwork:
    """U-Net with zero padding: logits at every pixel, no margin; or its decoder on a backbone."""
    return unet_on(backbone, num_classes=num_classes) if backbone else UNet(num_classes)


def unet_small(num_classes: int = 21) -> UNet:
    """U-Net with zero padding, 4 channels wide in place of 64: 0.1M parameters."""
    return UNet(num_classes, width=4)


def unet_valid(num_classes: int = 21) -> UNet:
    """U-Net as published: no padding, a reflected margin of 92 px."""
    return UNet(num_classes, padding="none")
