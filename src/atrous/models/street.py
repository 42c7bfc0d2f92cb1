"""A small network for photos of streets, on the ImageNet weights that come by pip: 4.2M parameters.

| part      | layers                                                             | channels | cells every |
|-----------|--------------------------------------------------------------------|----------|-------------|
| backbone  | EfficientNet-Lite0, its last stage dilated by 2                    | 320      | 16 px       |
| reduction | 1x1                                                                | 160      | 16 px       |
| middle    | four 3x3 dilated by 1, 2, 4, 8, each beside a shortcut             | 160      | 16 px       |
| joins     | the next finer stage beside the enlarged features; a 3x3           | 96, 64   | 8 px, 4 px  |
| classes   | 1x1                                                                | k        | 4 px        |
| context   | the Basic context module of Yu & Koltun 2016; `street` only        | k        | 4 px        |

Dilation takes the place that image pooling has in DeepLab v3+ and PSPNet: no cell sees all of the image, so
what is larger than memory streams exactly. 3x3 convolutions are dense and not separable, which costs weights
and is faster on processors. No paper has just these parts.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.layers.blocks import conv_norm_relu
from atrous.layers.upsample_features import upsample_features
from atrous.models.backbone import Backbone
from atrous.models.backbones import build_backbone
from atrous.models.context import ContextModule
from atrous.models.contract import DenseNetwork
from atrous.models.dilated_net import DilatedNet
from atrous.models.joined import cells_of, geometry_of, joined, then_cells

OUTPUT_STRIDE = 16  # of the backbone
CHANNELS = 160
DILATIONS = (1, 2, 4, 8)
JOINS = ((8, 48, 96), (4, 32, 64))  # stride, channels taken from the backbone, channels out
DROPOUT = 0.1


class Shortcut(nn.Module):
    """Features, and what a block adds to them."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Of the same shape."""
        return features + self.block(features)


class Join(nn.Module):
    """Coarse features on the grid of finer ones, beside them, through a 3x3 convolution.

    Args:
        coarse: Channels of the coarse features.
        fine: Channels of the fine ones.
        taken: Channels that these are reduced to.
        channels: Out.
        factor: Fine cells a coarse one.
        shift: As of `upsample_features`.
    """

    def __init__(
        self, coarse: int, fine: int, *, taken: int, channels: int, factor: int, shift: float
    ) -> None:
        super().__init__()
        self.factor, self.shift = factor, shift
        self.skip = conv_norm_relu(fine, taken, 1)
        self.conv = conv_norm_relu(coarse + taken, channels, 3)

    def forward(
        self, coarse: Float[Tensor, "b _c y x"], fine: Float[Tensor, "b _d h w"]
    ) -> Float[Tensor, "b _e h w"]:
        """Features on the finer grid."""
        skip = self.skip(fine)
        enlarged = upsample_features(coarse, skip, factor=self.factor, shift=self.shift)
        return self.conv(torch.cat([enlarged, skip], 1))


class StreetNet(DenseNetwork):
    """A backbone, dilated blocks with shortcuts on its last stage, and joins with two finer ones.

    Args:
        backbone: Gives the features; it needs stages at strides 8 and 4.
        num_classes: Number of labels.

    Raises:
        ConfigError: If the backbone has no such stages.
    """

    def __init__(self, backbone: Backbone, *, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_classes = num_classes
        self.normalization = backbone.normalization
        coarse = backbone.stages[-1]
        self.reduction = conv_norm_relu(coarse.channels, CHANNELS, 1)
        self.middle = nn.Sequential(
            *(Shortcut(conv_norm_relu(CHANNELS, CHANNELS, 3, dilation=dilation)) for dilation in DILATIONS)
        )
        self.cells = cells_of(coarse.geometry.then_cells(1 + 2 * sum(DILATIONS)))
        channels, center, output_stride = CHANNELS, coarse.geometry.center, coarse.geometry.output_stride
        self.fine_stages = tuple(backbone.stage_at(stride) for stride, _, _ in JOINS)
        self.joins = nn.ModuleList()
        for number, (stride, taken, width) in zip(self.fine_stages, JOINS, strict=True):
            fine = backbone.stages[number]
            factor, shift = output_stride // stride, (fine.geometry.center - center) / stride
            self.cells = joined(self.cells, factor=factor, shift=shift, kernel_size=3)
            self.joins.append(
                Join(channels, fine.channels, taken=taken, channels=width, factor=factor, shift=shift)
            )
            channels, center, output_stride = width, fine.geometry.center, stride
        self.dropout = nn.Dropout(DROPOUT)
        self.classes = nn.Conv2d(channels, num_classes, 1)
        self.geometry = geometry_of(self.cells)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        """Logits (b, k, ceil(h / 4), ceil(w / 4))."""
        stages = self.backbone(images)
        features = self.middle(self.reduction(stages[-1]))
        for number, join in zip(self.fine_stages, self.joins, strict=True):
            features = join(features, stages[number])
        return self.classes(self.dropout(features))

    def class_layers(self) -> Sequence[str]:
        """The last."""
        return ("classes.",)

    def new_layers(self) -> Sequence[str]:
        """All beyond the backbone."""
        return ("reduction.", "middle.", "joins.", "classes.")


def street_frontend(num_classes: int = 21, *, backbone: str = "efficientnet_lite0") -> StreetNet:
    """Dilated blocks and two joins on EfficientNet-Lite0: logits at stride 4."""
    return StreetNet(build_backbone(backbone, output_stride=OUTPUT_STRIDE), num_classes=num_classes)


def street(num_classes: int = 21, *, backbone: str = "efficientnet_lite0") -> DilatedNet:
    """The same and the Basic context module: 67 cells of its logits, 268 px."""
    front_end = street_frontend(num_classes, backbone=backbone)
    network = DilatedNet(front_end=front_end, context=ContextModule(num_classes))
    network.geometry = geometry_of(then_cells(front_end.cells, network.context.receptive_field))
    return network
