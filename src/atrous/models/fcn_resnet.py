"""FCN on a dilated ResNet, as torchvision ships it: one 3x3 convolution on a backbone that keeps stride 8.

Long et al. 2015 read VGG-16 at stride 32 and joined finer stages; a dilated backbone needs none of them.

| part           | layers                                                  | receptive field |
|----------------|---------------------------------------------------------|-----------------|
| backbone       | ResNet-50 or 101 at output stride 8                     | 427 or 971      |
| classifier     | 3x3 to a quarter of the channels, dropout, the classes  | 443 or 987      |
| aux_classifier | the same on layer3                                      |                 |

State dicts of torchvision's `fcn_resnet50` and `fcn_resnet101` load unchanged.
"""

from atrous.models.backbones import build_backbone
from atrous.models.heads import TwoHeads, fcn_head

OUTPUT_STRIDE = 8


def fcn_resnet50(num_classes: int = 21, *, backbone: str = "resnet50") -> TwoHeads:
    """FCN on ResNet-50 at output stride 8, torchvision's layout."""
    features = build_backbone(backbone, output_stride=OUTPUT_STRIDE)
    *_, before, last = (stage.channels for stage in features.stages)
    return TwoHeads(
        features, fcn_head(last, num_classes), fcn_head(before, num_classes), num_classes=num_classes
    )


def fcn_resnet101(num_classes: int = 21) -> TwoHeads:
    """FCN on ResNet-101 at output stride 8, torchvision's layout."""
    return fcn_resnet50(num_classes, backbone="resnet101")
