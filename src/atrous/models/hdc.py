"""Hybrid dilation and dense upsampling (Wang et al. 2018, "Understanding convolution for ..."): HDC and DUC.

| part   | paper, ResNet-101                                   | here                                     |
|--------|-----------------------------------------------------|------------------------------------------|
| layer3 | dilations 1, 2, 5, 9 again and again (section 4.1)  | the same, on any ResNet                  |
| layer4 | dilations 5, 9, 17                                  | the same                                 |
| DUC    | a 3x3 convolution to 8 x 8 labels a cell, laid out  | the same; the pixels lie round their     |
|        | as pixels (section 3.1)                             | cell's center, not right and below of it |
| ASPP   | four of them, dilated by 6, 12, 18, 24 and added up | `hdc_duc_aspp`                           |
|        | (the released network)                              |                                          |

All 64 pixels of a cell see the same box. A ResNet's cell r is centered on pixel 8r and paints 8r - 4 to
8r + 3, which leaves half a pixel (`center`). What the paper says of covering is not enough: dilations without
a common divisor can leave holes (1, 2, 9), and so can those within its bound on the largest distance of taps
(2, 2, 2). Its own choice has none; `atrous.find_gridding` of this network is what counts.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError
from atrous.layers.init import he_normal_
from atrous.layers.upsample_features import crop_to
from atrous.models.backbone import Backbone
from atrous.models.contract import DenseNetwork
from atrous.models.resnet import RESNETS

OUTPUT_STRIDE = 8
LAYER3, LAYER4 = (1, 2, 5, 9), (5, 9, 17)  # "dilation-bigger", table 3
ASPP_DILATIONS = (6, 12, 18, 24)


class DUCNetwork(DenseNetwork):
    """A backbone, and convolutions that give each cell the labels of all its pixels.

    Args:
        backbone: Gives the features.
        dilations: Of the convolutions, which are added up.
        num_classes: Number of labels.
    """

    def __init__(self, backbone: Backbone, dilations: Sequence[int], *, num_classes: int) -> None:
        super().__init__()
        features = backbone.stages[-1]
        factor = features.geometry.output_stride
        self.backbone = backbone
        self.num_classes = num_classes
        self.normalization = backbone.normalization
        self.convs = nn.ModuleList(
            he_normal_(
                nn.Conv2d(features.channels, num_classes * factor**2, 3, padding=dilation, dilation=dilation)
            )
            for dilation in dilations
        )
        self.shuffle = nn.PixelShuffle(factor)
        center = (
            features.geometry.center - (factor - 1) / 2
        )  # of the pixels, if a cell painted from itself on
        self.shift = math.ceil(-center)
        grown = features.geometry.then_cells(1 + 2 * max(dilations))
        self.geometry = replace(grown, output_stride=1, center=center + self.shift)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k h w"]:
        """Logits (b, k, h, w), one a pixel."""
        features = self.backbone(images)[-1]
        cells = reduce(torch.add, [conv(features) for conv in self.convs])
        cells = functional.pad(cells, (0, 1, 0, 1), mode="replicate")  # for the last pixels
        pixels = self.shuffle(cells)[..., self.shift :, self.shift :]
        return crop_to(pixels, *images.shape[2:])

    def class_layers(self) -> Sequence[str]:
        """The convolutions to labels."""
        return ("convs.",)

    def new_layers(self) -> Sequence[str]:
        """The same."""
        return ("convs.",)


def hybrid_resnet(name: str) -> Backbone:
    """A ResNet at output stride 8 whose dilations go up and down.

    Raises:
        ConfigError: If the name is of no ResNet: others have no dilations to choose.
    """
    if name not in RESNETS:
        raise ConfigError(f'hybrid dilation is of ResNets, not of "{name}"; give one of {", ".join(RESNETS)}')
    return RESNETS[name](output_stride=OUTPUT_STRIDE, dilations=_hybrid)


def _hybrid(stage: int, block: int) -> tuple[int, int]:
    row = {3: LAYER3, 4: LAYER4}.get(stage, (1,))
    dilation = row[block % len(row)]
    return dilation, dilation


def hdc_duc(num_classes: int = 21, *, backbone: str = "resnet101") -> DUCNetwork:
    """Hybrid dilation and dense upsampling on ResNet-101: labels of every pixel, learned."""
    return DUCNetwork(hybrid_resnet(backbone), (1,), num_classes=num_classes)


def hdc_duc_aspp(num_classes: int = 21, *, backbone: str = "resnet101") -> DUCNetwork:
    """The same with four dilated convolutions added up, as released; it sees farthest."""
    return DUCNetwork(hybrid_resnet(backbone), ASPP_DILATIONS, num_classes=num_classes)
