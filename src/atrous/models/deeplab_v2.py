"""DeepLab v2 (Chen et al. 2018, PAMI 40(4)): four dilations side by side, and several scales of the image.

| part             | on ResNet-101                               | on VGG-16                               |
|------------------|---------------------------------------------|-----------------------------------------|
| backbone         | stride 8, layer3 dilated by 2, layer4 by 4  | that of DeepLab v1                      |
| ASPP-L: branches | 3x3 to the classes, dilated by 6, 12, 18, 24| fc6 3x3 dilated by the same, fc7, fc8   |
| joined           | by their sum                                | by their sum                            |
| receptive field  | 1355                                        | 611                                     |
| multi-scale      | the image at 1, 0.75, 0.5, maximum: 2725    | the same: 1237                          |

The 3x3 convolution whose stride is removed keeps its dilation, so that the dense ResNet is the classifier's
function; the authors' ResNet has its strides in 1x1 convolutions, and dilates that 3x3 as well. They also
train each scale with a loss of its own, which is left out.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.errors import ConfigError
from atrous.layers.rescale import rescale
from atrous.layers.upsample_features import crop_to
from atrous.models.backbone import Backbone
from atrous.models.backbones import build_backbone
from atrous.models.contract import DenseNetwork
from atrous.models.deeplab_v1 import LargePoolVGG16, class_layer
from atrous.models.frontend import LIGHT_HEAD
from atrous.models.heads import Head, OneHead

OUTPUT_STRIDE = 8
DILATIONS = (6, 12, 18, 24)  # ASPP-L, table 3
SCALES = (Fraction(3, 4), Fraction(1, 2))  # beside the image itself; section 4.1.2
CELLS = 1 + 2 * max(DILATIONS)


class Summed(nn.Module):
    """Branches side by side, and their sum.

    Args:
        branches: From the same features to maps of one shape.
    """

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, features: Float[Tensor, "b _c h w"]) -> Float[Tensor, "b _k h w"]:
        """Of the same size."""
        return reduce(torch.add, [branch(features) for branch in self.branches])


class Largest(nn.Module):
    """The largest of several maps at every cell."""

    def forward(self, maps: Sequence[Float[Tensor, "b k h w"]]) -> Float[Tensor, "b k h w"]:
        """Of the same shape as each."""
        return reduce(torch.maximum, maps)


def aspp_head(in_channels: int, num_classes: int) -> Head:
    """A dilated 3x3 convolution to the classes in every branch."""
    branches = [
        class_layer(in_channels, num_classes, kernel_size=3, dilation=dilation) for dilation in DILATIONS
    ]
    return Head(Summed(branches), cells=CELLS)


def vgg_aspp_head(num_classes: int) -> Head:
    """fc6 to fc8 in every branch."""
    heads = [replace(LIGHT_HEAD, dilation=dilation) for dilation in DILATIONS]
    branches = [
        nn.Sequential(OrderedDict(head.layers(512, padded=True), fc8=class_layer(head.channels, num_classes)))
        for head in heads
    ]
    class_layers = [f"0.branches.{number}.fc8" for number in range(len(branches))]
    return Head(Summed(branches), cells=CELLS, class_layers=class_layers)


class MultiScale(DenseNetwork):
    """One backbone and head on the image at three scales, and the largest of their logits at every cell.

    Its weights are named as those of the same network at one scale.

    Args:
        backbone: Gives the features; its cells are centered on pixel 0.
        classifier: For the channels of its last stage.
        num_classes: Number of labels.

    Raises:
        ConfigError: If its cells are centered elsewhere.
    """

    def __init__(self, backbone: Backbone, classifier: Head, *, num_classes: int) -> None:
        super().__init__()
        single = classifier.geometry(backbone.stages[-1])
        if single.center:
            raise ConfigError(
                f"scales are joined around pixel 0, and the first cell of this backbone is centered on "
                f"{single.center}; choose a resnet, a mobilenet or DeepLab's own vgg16"
            )
        self.backbone = backbone
        self.classifier = classifier
        self.fusion = Largest()
        self.num_classes = num_classes
        self.normalization = backbone.normalization
        # Half the scale takes every second pixel, and its logits are interpolated between two cells.
        pixels = single.then_cells(2).receptive_field
        self.geometry = replace(single, receptive_field=2 * pixels - 1)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        """Logits at the cells that the image itself has."""
        logits = self._at_one_scale(images)
        maps = [logits]
        for scale in SCALES:
            sides = [(side - 1) * scale.numerator // scale.denominator + 1 for side in images.shape[2:]]
            smaller = self._at_one_scale(crop_to(rescale(images, scale), *sides))
            maps.append(crop_to(rescale(smaller, 1 / scale), *logits.shape[2:]))
        return self.fusion(maps)

    def _at_one_scale(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        return self.classifier(self.backbone(images)[-1])

    def class_layers(self) -> Sequence[str]:
        """The last of every branch."""
        return tuple(f"classifier.{path}." for path in self.classifier.class_layers)

    def new_layers(self) -> Sequence[str]:
        """The head."""
        return ("classifier.",)


def _parts(num_classes: int, backbone: str) -> tuple[Backbone, Head]:
    if backbone == "vgg16":
        return LargePoolVGG16(), vgg_aspp_head(num_classes)
    features = build_backbone(backbone, output_stride=OUTPUT_STRIDE)
    return features, aspp_head(features.stages[-1].channels, num_classes)


def deeplab_v2(num_classes: int = 21, *, backbone: str = "resnet101") -> OneHead:
    """DeepLab v2: dilations 6, 12, 18 and 24 summed, output stride 8."""
    return OneHead(*_parts(num_classes, backbone), num_classes=num_classes)


def deeplab_v2_msc(num_classes: int = 21, *, backbone: str = "resnet101") -> MultiScale:
    """DeepLab v2 on the image at scales 1, 0.75 and 0.5, joined by their maximum."""
    return MultiScale(*_parts(num_classes, backbone), num_classes=num_classes)
