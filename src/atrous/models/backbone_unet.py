"""U-Net's decoder on the stages of a classifier, as is usual since Iglovikov & Shvets 2018 (TernausNet).

| part     | layers                                                                    | on VGG-16       |
|----------|---------------------------------------------------------------------------|-----------------|
| backbone | VGG-16's convolutions up to conv5_3, read before every pool               | stride 1 .. 16  |
| up       | the coarser stage enlarged, the finer beside it; two 3x3, each normalized | 512 .. 64       |
| final    | 1x1                                                                       | stride 1        |

The coarser stage is interpolated onto the cells of the finer one, where both were seen, in place of U-Net's
2x2 transposed convolution: that puts every cell half a cell off where stages share the center of cell 0, as a
ResNet's do. Logits lie at the cells of the finest stage: every pixel on VGG-16, every fourth on a ResNet.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.errors import ConfigError
from atrous.layers.blocks import conv_norm_relu
from atrous.layers.upsample_features import upsample_features
from atrous.models.backbone import Backbone
from atrous.models.backbones import build_backbone
from atrous.models.contract import DenseNetwork
from atrous.models.vgg import VGG16

WIDTH = 64  # channels on the way up at stride 1, twice as many at twice the stride
MOST_CHANNELS = 512


class BackboneUNet(DenseNetwork):
    """A backbone, and its stages joined from coarse to fine.

    Args:
        backbone: Gives the features, at two strides at least.
        num_classes: Number of labels.

    Raises:
        ConfigError: If the backbone has one stride only.
    """

    def __init__(self, backbone: Backbone, *, num_classes: int) -> None:
        super().__init__()
        strides = sorted({stage.geometry.output_stride for stage in backbone.stages}, reverse=True)
        if len(strides) < 2:
            raise ConfigError(
                f"a U-Net joins stages of several strides, and this backbone has stride {strides[0]} only; "
                "choose vgg16, a resnet or a mobilenet as backbone, or a network without skips"
            )
        self.num_classes = num_classes
        self.normalization = backbone.normalization
        self.backbone = backbone
        self.numbers = tuple(map(backbone.stage_at, strides))
        stages = [backbone.stages[number] for number in self.numbers]
        self.joins: list[tuple[int, float]] = []
        self.up = nn.ModuleList()
        channels = stages[0].channels
        for coarse, fine in pairwise(stages):
            stride, center = fine.geometry.output_stride, fine.geometry.center
            factor = coarse.geometry.output_stride // stride
            self.joins.append((factor, (center - coarse.geometry.center) / stride))
            made = min(WIDTH * stride, MOST_CHANNELS)
            pair = conv_norm_relu(channels + fine.channels, made, 3), conv_norm_relu(made, made, 3)
            self.up.append(nn.Sequential(*pair))
            channels = made
        seen, fine = stages[0].geometry.then_cells(_cells_read(self.joins)), stages[-1].geometry
        self.geometry = replace(seen, output_stride=fine.output_stride, center=fine.center)
        self.final = nn.Conv2d(channels, num_classes, 1)
        nn.init.zeros_(self.final.bias)  # type: ignore[arg-type]

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        """Logits at the cells of the finest stage."""
        found = self.backbone(images)
        first, *others = (found[number] for number in self.numbers)
        features = first
        for fine, (factor, shift), layers in zip(others, self.joins, self.up, strict=True):
            enlarged = upsample_features(features, fine, factor=factor, shift=shift)
            features = layers(torch.cat([enlarged, fine], dim=1))
        return self.final(features)

    def class_layers(self) -> Sequence[str]:
        """The last."""
        return ("final.",)

    def new_layers(self) -> Sequence[str]:
        """The way up."""
        return ("up.", "final.")


def _cells_read(joins: Sequence[tuple[int, float]]) -> int:
    """Cells of the coarsest stage that the way up to one cell of the finest reads, at most.

    Args:
        joins: Factor and shift of every `upsample_features`, from coarse to fine; two 3x3 follow each.
    """
    counts = []
    for cell in range(math.prod(factor for factor, _ in joins)):
        first = last = cell
        for factor, shift in reversed(joins):
            first = math.floor((first - 2 + shift) / factor)
            last = math.ceil((last + 2 + shift) / factor)
        counts.append(last - first + 1)
    return max(counts)


def unet_on(backbone: str, *, num_classes: int) -> BackboneUNet:
    """U-Net on a backbone by name.

    Args:
        backbone: A key of `BACKBONES`.
        num_classes: Number of labels.

    Raises:
        ConfigError: If there is no such backbone, or it has features at one stride only.
    """
    if backbone == "vgg16":
        return BackboneUNet(VGG16(output_stride=16, pooled=False), num_classes=num_classes)
    return BackboneUNet(build_backbone(backbone, output_stride=32), num_classes=num_classes)
