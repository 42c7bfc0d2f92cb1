"""MobileNetV3-Large (Howard et al. 2019, table 1) that keeps resolution, by torchvision's names.

Blocks as `ROWS` has them; before them a 3x3 convolution of 16 channels and stride 2 (index 0), after them a
1x1 of 960 (index 16). Squeeze-and-excitation weighs channels by their mean over the image, so all that comes
after it sees everything.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError
from atrous.layers.blocks import padded_conv
from atrous.models.backbone import Backbone, Stage, features_at
from atrous.models.contract import LogitGeometry
from atrous.models.resnet import IMAGENET_RGB

STAGE_ENDS = (1, 3, 4, 12, 16)  # 4 is where torchvision has its auxiliary head; the others end a resolution


@dataclass(frozen=True, slots=True)
class Row:
    """A block: its kernel; expanded, outer and squeezed channels (0: no squeezing); activation; stride."""

    kernel_size: int
    wide: int
    channels: int
    squeezed: int
    activation: type[nn.Module]
    stride: int


RELU, SWISH = nn.ReLU, nn.Hardswish
ROWS = (
    Row(3, 16, 16, 0, RELU, 1),
    Row(3, 64, 24, 0, RELU, 2),
    Row(3, 72, 24, 0, RELU, 1),
    Row(5, 72, 40, 24, RELU, 2),
    Row(5, 120, 40, 32, RELU, 1),
    Row(5, 120, 40, 32, RELU, 1),
    Row(3, 240, 80, 0, SWISH, 2),
    Row(3, 200, 80, 0, SWISH, 1),
    Row(3, 184, 80, 0, SWISH, 1),
    Row(3, 184, 80, 0, SWISH, 1),
    Row(3, 480, 112, 120, SWISH, 1),
    Row(3, 672, 112, 168, SWISH, 1),
    Row(5, 672, 160, 168, SWISH, 2),
    Row(5, 960, 160, 240, SWISH, 1),
    Row(5, 960, 160, 240, SWISH, 1),
)


class SqueezeExcitation(nn.Module):
    """Every channel times a number in [0, 1] that the means of all channels give (Hu et al. 2018)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Features of the same shape."""
        means = functional.adaptive_avg_pool2d(features, 1)
        return features * functional.hardsigmoid(self.fc2(functional.relu(self.fc1(means))))


class Block(nn.Module):
    """1x1 up, k x k in every channel, squeeze-and-excitation, 1x1 down; a shortcut where shapes agree."""

    def __init__(self, in_channels: int, row: Row, *, stride: int, dilation: int) -> None:
        super().__init__()
        wide, kind = row.wide, row.activation
        layers: list[nn.Module] = [] if wide == in_channels else [_conv_norm(in_channels, wide, 1, kind)]
        layers.append(
            _conv_norm(wide, wide, row.kernel_size, kind, stride=stride, dilation=dilation, groups=wide)
        )
        if row.squeezed:
            layers.append(SqueezeExcitation(wide, row.squeezed))
        layers.append(_conv_norm(wide, row.channels, 1, None))
        self.block = nn.Sequential(*layers)
        self.has_shortcut = row.stride == 1 and in_channels == row.channels

    def forward(self, features: Float[Tensor, "b _c h w"]) -> Float[Tensor, "b _k y x"]:
        """Features at the block's stride."""
        return features + self.block(features) if self.has_shortcut else self.block(features)


class MobileNetV3(Backbone):
    """The blocks; gives the features at `STAGE_ENDS`.

    Args:
        output_stride: 8, 16 or 32, of the last.
        dilates_first: Whether a layer that loses its stride dilates too, as torchvision's segmentation
            networks have it: another function of the same weights, that sees further. Otherwise it keeps its
            dilation, which is the same function at the strided positions.

    Raises:
        ConfigError: If the output stride is none of these.
    """

    def __init__(self, *, output_stride: int = 32, dilates_first: bool = False) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ConfigError(f"MobileNetV3 has no output stride {output_stride}; give 8, 16 or 32")
        self.normalization = IMAGENET_RGB
        self.add_module("0", _conv_norm(3, 16, 3, SWISH, stride=2))
        channels, stride, dilation, field, sees_all = 16, 2, 1, 3, False
        stages: list[Stage] = []
        for index, row in enumerate(ROWS, start=1):
            step = row.stride if stride * row.stride <= output_stride else 1
            below = dilation * row.stride // step
            own = below if dilates_first else dilation
            self.add_module(str(index), Block(channels, row, stride=step, dilation=own))
            field += (row.kernel_size - 1) * own * stride
            channels, stride, dilation, sees_all = (
                row.channels,
                stride * step,
                below,
                sees_all or row.squeezed > 0,
            )
            if index in STAGE_ENDS:
                stages.append(Stage(channels, LogitGeometry(stride, 0.0, field, is_global=sees_all)))
        self.add_module(str(len(ROWS) + 1), _conv_norm(channels, 6 * channels, 1, SWISH))
        stages.append(Stage(6 * channels, LogitGeometry(stride, 0.0, field, is_global=sees_all)))
        self.stages = tuple(stages)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b _c _y _x"], ...]:
        """Features of the stages."""
        return features_at(STAGE_ENDS, list(self.children()), images)


def _conv_norm(
    in_channels: int,
    channels: int,
    kernel_size: int,
    activation: type[nn.Module] | None,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    conv = padded_conv(in_channels, channels, kernel_size, stride=stride, dilation=dilation, groups=groups)
    layers = [conv, nn.BatchNorm2d(channels, eps=0.001, momentum=0.01)]
    return nn.Sequential(*layers) if activation is None else nn.Sequential(*layers, activation())


def mobilenet_v3_large(*, output_stride: int = 32, dilates_first: bool = False) -> MobileNetV3:
    """MobileNetV3-Large without its classes: 3.0M parameters, 595 px beside what sees everything."""
    return MobileNetV3(output_stride=output_stride, dilates_first=dilates_first)
