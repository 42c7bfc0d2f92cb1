"""ResNet (He et al. 2016) that keeps resolution: 18, 34, 50 and 101 layers, by torchvision's names.

| stage  | output stride 32, 16, 8 | blocks of 18, 34, 50, 101 | channels: basic, bottleneck |
|--------|-------------------------|---------------------------|-----------------------------|
| conv1  | 2, 2, 2                 | 7x7, then a 3x3 max pool  | 64                          |
| layer1 | 4, 4, 4                 | 2, 3, 3, 3                | 64, 256                     |
| layer2 | 8, 8, 8                 | 2, 4, 4, 4                | 128, 512                    |
| layer3 | 16, 16, 8               | 2, 6, 6, 23               | 256, 1024                   |
| layer4 | 32, 16, 8               | 2, 3, 3, 3                | 512, 2048                   |

A bottleneck has its stride in the 3x3 convolution. Where a stage loses its stride, that convolution keeps its
dilation, and all below dilate twice as far: the same function at the strided positions. Every padding is
symmetric around a first cell at pixel 0, so all stages are centered on it, and sides are halved rounding up.
"""

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from atrous.errors import ConfigError
from atrous.layers.blocks import padded_conv
from atrous.models.backbone import Backbone, Stage
from atrous.models.contract import LogitGeometry, Normalization

WIDTHS = (64, 128, 256, 512)  # of the 3x3 convolutions in layer1 .. layer4
IMAGENET_RGB = Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # torchvision's, in 0-255


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1
    num_wide = 2  # 3x3 convolutions

    def __init__(self, in_channels: int, width: int, *, stride: int, dilations: tuple[int, int]) -> None:
        super().__init__()
        first, second = dilations
        self.conv1 = padded_conv(in_channels, width, 3, stride=stride, dilation=first)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = padded_conv(width, width, 3, dilation=second)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width, stride=stride)

    def forward(self, features: Float[Tensor, "b _c h w"]) -> Float[Tensor, "b _k y x"]:
        """Features at the block's stride."""
        shortcut = features if self.downsample is None else self.downsample(features)
        out = self.relu(self.bn1(self.conv1(features)))
        return self.relu(self.bn2(self.conv2(out)) + shortcut)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1, beside a shortcut; the 3x3 has the stride."""

    expansion = 4
    num_wide = 1  # 3x3 convolution

    def __init__(self, in_channels: int, width: int, *, stride: int, dilations: tuple[int, int]) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = padded_conv(in_channels, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = padded_conv(width, width, 3, stride=stride, dilation=dilations[0])
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = padded_conv(width, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride=stride)

    def forward(self, features: Float[Tensor, "b _c h w"]) -> Float[Tensor, "b _k y x"]:
        """Features at the block's stride."""
        shortcut = features if self.downsample is None else self.downsample(features)
        out = self.relu(self.bn1(self.conv1(features)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + shortcut)


Block = type[BasicBlock] | type[Bottleneck]
Dilations = Callable[[int, int], tuple[int, int]]
"""(stage 1-4, number of the block ) -> dilations of its 3x3 convolutions; a bottleneck takes the first."""


class ResNet(Backbone):
    """The residual stages; gives the features of all four.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        depths: Blocks of the four stages.
        output_stride: 8, 16 or 32, of the last.
        dilations: Of every block; those that keep the function unless given.

    Raises:
        ConfigError: If the output stride is none of these.
    """

    def __init__(
        self,
        block: Block,
        depths: Sequence[int],
        *,
        output_stride: int = 32,
        dilations: Dilations | None = None,
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ConfigError(f"a ResNet has no output stride {output_stride}; give 8, 16 or 32")
        self.normalization = IMAGENET_RGB
        self.conv1 = padded_conv(3, WIDTHS[0], 7, stride=2)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels, stride, field, dilation = WIDTHS[0], 4, 11, 1
        stages: list[Stage] = []
        for stage, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True), start=1):
            wanted = 1 if stage == 1 else 2
            step = wanted if stride * wanted <= output_stride else 1
            first, dilation = dilation, dilation * wanted // step
            blocks: list[nn.Module] = []
            for index in range(depth):
                kept = (dilation if index else first, dilation)
                pair = kept if dilations is None else dilations(stage, index)
                blocks.append(block(channels, width, stride=1 if index else step, dilations=pair))
                strides = (stride, stride if index else stride * step)
                spans = [2 * apart * pixels for apart, pixels in zip(pair, strides, strict=True)]
                field += sum(spans[: block.num_wide])
                channels, stride = width * block.expansion, strides[1]
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
            stages.append(Stage(channels, LogitGeometry(stride, 0.0, field)))
        self.stages = tuple(stages)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b _c _y _x"], ...]:
        """Features of layer1 .. layer4."""
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        found: list[Tensor] = []
        for stage in range(1, len(WIDTHS) + 1):
            features = self.get_submodule(f"layer{stage}")(features)
            found.append(features)
        return tuple(found)


def _shortcut(in_channels: int, out_channels: int, *, stride: int) -> nn.Sequential | None:
    """Nothing where the block keeps its shape."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        padded_conv(in_channels, out_channels, 1, stride=stride), nn.BatchNorm2d(out_channels)
    )


def resnet18(*, output_stride: int = 32, dilations: Dilations | None = None) -> ResNet:
    """ResNet-18: 11.2M parameters, 435 px."""
    return ResNet(BasicBlock, (2, 2, 2, 2), output_stride=output_stride, dilations=dilations)


def resnet34(*, output_stride: int = 32, dilations: Dilations | None = None) -> ResNet:
    """ResNet-34: 21.3M parameters, 899 px."""
    return ResNet(BasicBlock, (3, 4, 6, 3), output_stride=output_stride, dilations=dilations)


def resnet50(*, output_stride: int = 32, dilations: Dilations | None = None) -> ResNet:
    """ResNet-50: 23.5M parameters, 427 px."""
    return ResNet(Bottleneck, (3, 4, 6, 3), output_stride=output_stride, dilations=dilations)


def resnet101(*, output_stride: int = 32, dilations: Dilations | None = None) -> ResNet:
    """ResNet-101: 42.5M parameters, 971 px."""
    return ResNet(Bottleneck, (3, 4, 23, 3), output_stride=output_stride, dilations=dilations)


RESNETS: dict[str, Callable[..., ResNet]] = {
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet101": resnet101,
}
