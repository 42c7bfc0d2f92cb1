"""PSPNet (Zhao et al. 2017, "Pyramid scene parsing network"): the image pooled to four grids, beside itself.

| part                | paper                                          | here                          |
|---------------------|------------------------------------------------|-------------------------------|
| backbone            | ResNet-50 .. 269 at output stride 8, 3x3 stem  | the same with ResNet's 7x7    |
| pyramid             | means over 1, 2, 3 and 6 bins a side, each     | the same; bins lie half-pixel |
|                     | 1x1 to a quarter of the channels, bilinear up  | aligned, where they were seen |
| classifier          | 3x3 to 512, dropout 0.1, the classes           | the same                      |
| auxiliary head      | on layer3, weight 0.4 (section 5.2)            | torchvision's FCNHead there   |

Figure 3 and table 1: means with four grids are the best of the paper's pyramids. Every cell sees all.
"""

from torch import nn

from atrous.layers.blocks import conv_norm_relu
from atrous.layers.pyramid import PyramidPooling
from atrous.models.backbones import build_backbone
from atrous.models.heads import Head, OneHead, TwoHeads, fcn_head

OUTPUT_STRIDE = 8
BINS = (1, 2, 3, 6)
CHANNELS = 512


def pspnet_head(in_channels: int, num_classes: int) -> Head:
    """The pyramid beside the features, a 3x3 convolution, dropout and the classes."""
    pyramid = PyramidPooling(in_channels, BINS)
    join = conv_norm_relu(pyramid.channels, CHANNELS, 3)
    final = nn.Conv2d(CHANNELS, num_classes, 1)
    return Head(pyramid, *join, nn.Dropout(0.1), final, cells=3, is_global=True)


def pspnet(num_classes: int = 21, *, backbone: str = "resnet50") -> TwoHeads | OneHead:
    """PSPNet on ResNet-50 at output stride 8, with its auxiliary head."""
    features = build_backbone(backbone, output_stride=OUTPUT_STRIDE)
    head = pspnet_head(features.stages[-1].channels, num_classes)
    if len(features.stages) == 1:  # a classifier that surgery made dense gives its last map only
        return OneHead(features, head, num_classes=num_classes)
    auxiliary = fcn_head(features.stages[-2].channels, num_classes)
    return TwoHeads(features, head, auxiliary, num_classes=num_classes)
