"""MobileNetV2 (Sandler et al. 2018, table 2) that keeps resolution, by torchvision's names.

| blocks | expanded by | channels | stride | index |
|--------|-------------|----------|--------|-------|
| 3x3    | -           | 32       | 2      | 0     |
| 1      | 1           | 16       | 1      | 1     |
| 2      | 6           | 24       | 2      | 2-3   |
| 3      | 6           | 32       | 2      | 4-6   |
| 4      | 6           | 64       | 2      | 7-10  |
| 3      | 6           | 96       | 1      | 11-13 |
| 3      | 6           | 160      | 2      | 14-16 |
| 1      | 6           | 320      | 1      | 17    |

The classifier's last 1x1 convolution (index 18, 1280 channels) is left out, as in its authors' DeepLab.
"""

from jaxtyping import Float
from torch import Tensor, nn

from atrous.errors import ConfigError
from atrous.layers.blocks import padded_conv
from atrous.models.backbone import Backbone, Stage, features_at
from atrous.models.contract import LogitGeometry
from atrous.models.resnet import IMAGENET_RGB

ROWS = (  # number, expansion, channels, stride
    (1, 1, 16, 1), (2, 6, 24, 2), (3, 6, 32, 2), (4, 6, 64, 2), (3, 6, 96, 1), (3, 6, 160, 2), (1, 6, 320, 1),
)  # fmt: skip
STAGE_ENDS = (1, 3, 6, 13, 17)  # the last block before the next stride


class InvertedResidual(nn.Module):
    """1x1 up, 3x3 in every channel, 1x1 down without an activation; beside a shortcut where shapes agree."""

    def __init__(
        self, in_channels: int, channels: int, *, expansion: int, stride: int, dilation: int, keeps_size: bool
    ) -> None:
        super().__init__()
        wide = in_channels * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_conv_norm_relu6(in_channels, wide, 1)]
        layers += [
            _conv_norm_relu6(wide, wide, 3, stride=stride, dilation=dilation, groups=wide),
            padded_conv(wide, channels, 1),
            nn.BatchNorm2d(channels),
        ]
        self.conv = nn.Sequential(*layers)
        self.has_shortcut = keeps_size and in_channels == channels

    def forward(self, features: Float[Tensor, "b _c h w"]) -> Float[Tensor, "b _k y x"]:
        """Features at the block's stride."""
        return features + self.conv(features) if self.has_shortcut else self.conv(features)


class MobileNetV2(Backbone):
    """The inverted residuals; gives the features before each stride, and the last.

    Args:
        output_stride: 8, 16 or 32, of the last. The layer that loses a stride keeps its dilation, all below
            dilate twice as far: the same function at the strided positions.

    Raises:
        ConfigError: If the output stride is none of these.
    """

    def __init__(self, *, output_stride: int = 32) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ConfigError(f"MobileNetV2 has no output stride {output_stride}; give 8, 16 or 32")
        self.normalization = IMAGENET_RGB
        self.add_module("0", _conv_norm_relu6(3, 32, 3, stride=2))
        channels, stride, dilation, field, index = 32, 2, 1, 3, 0
        stages: list[Stage] = []
        for number, expansion, width, wanted in ROWS:
            for place in range(number):
                index += 1
                own = 1 if place else wanted
                step = own if stride * own <= output_stride else 1
                block = InvertedResidual(
                    channels, width, expansion=expansion, stride=step, dilation=dilation, keeps_size=own == 1
                )
                self.add_module(str(index), block)
                field += 2 * dilation * stride
                channels, stride, dilation = width, stride * step, dilation * own // step
                if index in STAGE_ENDS:
                    stages.append(Stage(width, LogitGeometry(stride, 0.0, field)))
        self.stages = tuple(stages)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b _c _y _x"], ...]:
        """Features of the stages."""
        return features_at(STAGE_ENDS, list(self.children()), images)


def _conv_norm_relu6(
    in_channels: int, channels: int, kernel_size: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    conv = padded_conv(in_channels, channels, kernel_size, stride=stride, dilation=dilation, groups=groups)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU6(inplace=True))


def mobilenet_v2(*, output_stride: int = 32) -> MobileNetV2:
    """MobileNetV2 without its last convolution: 1.8M parameters, 491 px."""
    return MobileNetV2(output_stride=output_stride)
