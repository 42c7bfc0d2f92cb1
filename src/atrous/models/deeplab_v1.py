"""DeepLab v1, LargeFOV (Chen et al. 2015, "Semantic image segmentation with deep convolutional nets").

| layers              | channels | kernel | stride | dilation | receptive field |
|---------------------|----------|--------|--------|----------|-----------------|
| conv1_1, 1_2, pool1 | 64       | 3      | 1, 2   | 1        | 3, 5, 7         |
| conv2_1, 2_2, pool2 | 128      | 3      | 1, 2   | 1        | 11, 15, 19      |
| conv3_1..3_3, pool3 | 256      | 3      | 1, 2   | 1        | 27, 35, 43, 51  |
| conv4_1..4_3, pool4 | 512      | 3      | 1      | 1        | 67, 83, 99, 115 |
| conv5_1..5_3, pool5 | 512      | 3      | 1      | 2, 1     | 147, 179, 211, 227 |
| fc6                 | 1024     | 3      | 1      | 12       | 419             |
| fc7, fc8            | 1024, C  | 1      | 1      | 1        | 419             |

Pools are 3x3, symmetric around pixel 8 r, and the last two stay at stride 1. `frontend_light`, with the same
fc6 and fc7, has pools of 2x2 and removes the last two: its cells lie at 8 r + 3.5 and see 380 px. Sides are
halved rounding up, where Caffe adds a cell to even ones; at the authors' 321 px both agree. The "receptive
field" of 224 px in the paper's table 2 is 24 * 8 + 32: fc6 alone, on cells of 32 px.
"""

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from atrous.models.backbone import Backbone, Stage
from atrous.models.contract import IMAGENET_BGR, LogitGeometry
from atrous.models.frontend import LIGHT_HEAD
from atrous.models.heads import Head, OneHead
from atrous.models.vgg import dense_vgg_layers

CLASS_STD = 0.01  # the released train.prototxt
POOLS = {  # what each follows, and its stride
    "relu1_2": ("pool1", 2), "relu2_2": ("pool2", 2), "relu3_3": ("pool3", 2),
    "relu4_3": ("pool4", 1), "relu5_3": ("pool5", 1),
}  # fmt: skip


class LargePoolVGG16(Backbone):
    """VGG-16's convolutions at output stride 8 between pools of 3x3; gives pool5 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.normalization = IMAGENET_BGR
        self.stages = (Stage(512, LogitGeometry(8, 0.0, 227)),)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for name, layer in dense_vgg_layers(padded=True, output_stride=8).items():
            if not name.startswith("pool"):
                layers[name] = layer
            if name in POOLS:
                pool, stride = POOLS[name]
                layers[pool] = nn.MaxPool2d(3, stride=stride, padding=1)
        self.layers = nn.Sequential(layers)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b _c _y _x"], ...]:
        """Features (b, 512, ceil(h / 8), ceil(w / 8))."""
        return (self.layers(images),)


def class_layer(in_channels: int, num_classes: int, *, kernel_size: int = 1, dilation: int = 1) -> nn.Conv2d:
    """The last convolution, near zero at first.

    Args:
        in_channels: Of the features.
        num_classes: Number of labels.
        kernel_size: Odd.
        dilation: Of its taps.
    """
    padding = dilation * (kernel_size - 1) // 2
    conv = nn.Conv2d(in_channels, num_classes, kernel_size, padding=padding, dilation=dilation)
    nn.init.normal_(conv.weight, 0.0, CLASS_STD)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def deeplab_v1(num_classes: int = 21) -> OneHead:
    """DeepLab v1, LargeFOV: VGG-16 with pools of 3x3, fc6 dilated by 12."""
    layers = OrderedDict(
        LIGHT_HEAD.layers(512, padded=True), fc8=class_layer(LIGHT_HEAD.channels, num_classes)
    )
    head = Head(layers, cells=LIGHT_HEAD.cells, class_layers=["fc8"])
    return OneHead(LargePoolVGG16(), head, num_classes=num_classes)
