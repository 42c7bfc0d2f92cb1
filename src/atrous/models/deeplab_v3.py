"""DeepLab v3 (Chen et al. 2017, "Rethinking atrous convolution"): dilations and the whole image side by side.

| part                 | paper, at output stride 8                       | torchvision                  |
|----------------------|-------------------------------------------------|------------------------------|
| backbone             | ResNet-50 or 101, layer4 dilated by 4 x (1,2,4) | the same, layer4 by 4        |
| 3x3 branches         | dilated by 12, 24, 36, 256 channels             | the same                     |
| 1x1, pooled image    | 256 channels                                    | the same                     |
| after the pyramid    | 1x1 to 256, the classes                         | 1x1, a 3x3 of 256, the classes |
| auxiliary head       | none                                            | FCN's, on layer3             |

MobileNet's is torchvision's alone: output stride 16, the same pyramid, auxiliary head on its first block at
stride 8. State dicts of torchvision's `deeplabv3_*` load unchanged. The pooled branch sees the whole image.
"""

from torch import nn

from atrous.layers.blocks import conv_norm_relu
from atrous.layers.pyramid import ASPP
from atrous.models.backbones import build_backbone
from atrous.models.heads import Head, OneHead, TwoHeads, fcn_head
from atrous.models.mobilenet_v3 import mobilenet_v3_large
from atrous.models.resnet import RESNETS, Dilations

DILATIONS = (12, 24, 36)  # at output stride 8; section 4.2
MULTI_GRID = (1, 2, 4)  # of the blocks of layer4; table 5
CHANNELS = 256
AUXILIARY_STAGE = 2  # of MobileNetV3's


def deeplab_head(in_channels: int, num_classes: int) -> Head:
    """The pyramid, a 3x3 convolution and the classes, as torchvision's DeepLabHead."""
    final = nn.Conv2d(CHANNELS, num_classes, 1)
    layers = (ASPP(in_channels, DILATIONS), *conv_norm_relu(CHANNELS, CHANNELS, 3), final)
    return Head(*layers, cells=1 + 2 * max(DILATIONS) + 2, is_global=True)


def deeplab_v3(num_classes: int = 21, *, backbone: str = "resnet101") -> OneHead:
    """DeepLab v3 as published: multi-grid, pyramid with image pooling, output stride 8."""
    if backbone in RESNETS:
        features = RESNETS[backbone](output_stride=8, dilations=multi_grid(8))
    else:
        features = build_backbone(backbone, output_stride=8)
    pyramid = ASPP(features.stages[-1].channels, DILATIONS)
    final = nn.Conv2d(CHANNELS, num_classes, 1)
    head = Head(pyramid, final, cells=1 + 2 * max(DILATIONS), is_global=True)
    return OneHead(features, head, num_classes=num_classes)


def multi_grid(output_stride: int) -> Dilations:
    """Dilations at output stride 8 or 16; those of layer4 grow from block to block, its first one's too."""

    def dilations(stage: int, block: int) -> tuple[int, int]:
        if stage == 4:
            unit = 32 // output_stride * MULTI_GRID[block % len(MULTI_GRID)]
            return unit, unit
        if stage == 3 and output_stride == 8:
            return (2 if block else 1), 2
        return 1, 1

    return dilations


def deeplab_v3_resnet50(num_classes: int = 21, *, backbone: str = "resnet50") -> TwoHeads:
    """DeepLab v3 on ResNet-50 in torchvision's layout, with an auxiliary head."""
    features = build_backbone(backbone, output_stride=8)
    *_, before, last = (stage.channels for stage in features.stages)
    heads = deeplab_head(last, num_classes), fcn_head(before, num_classes)
    return TwoHeads(features, *heads, num_classes=num_classes)


def deeplab_v3_resnet101(num_classes: int = 21) -> TwoHeads:
    """DeepLab v3 on ResNet-101 in torchvision's layout, with an auxiliary head."""
    return deeplab_v3_resnet50(num_classes, backbone="resnet101")


def deeplab_v3_mobilenet_v3_large(num_classes: int = 21) -> TwoHeads:
    """DeepLab v3 on MobileNetV3-Large at output stride 16 in torchvision's layout."""
    features = mobilenet_v3_large(output_stride=16, dilates_first=True)
    at_eight, last = features.stages[AUXILIARY_STAGE], features.stages[-1]
    heads = deeplab_head(last.channels, num_classes), fcn_head(at_eight.channels, num_classes)
    return TwoHeads(features, *heads, num_classes=num_classes, auxiliary_stage=AUXILIARY_STAGE)
