"""The front end: VGG-16 that keeps resolution (Yu & Koltun 2016, section 4).

| layers                      | channels | kernel | dilation | receptive field  |
|-----------------------------|----------|--------|----------|------------------|
| conv1_1, conv1_2, pool1     | 64       | 3      | 1        | 3, 5, 6          |
| conv2_1, conv2_2, pool2     | 128      | 3      | 1        | 10, 14, 16       |
| conv3_1, conv3_2, 3_3, pool3| 256      | 3      | 1        | 24, 32, 40, 44   |
| conv4_1, conv4_2, conv4_3   | 512      | 3      | 1        | 60, 76, 92       |
| conv5_1, conv5_2, conv5_3   | 512      | 3      | 2        | 124, 156, 188    |
| fc6                         | 4096     | 7      | 4        | 380              |
| fc7, final                  | 4096, C  | 1      | 1        | 380              |

No padding: the image comes with 186 reflected pixels on every side and gives ceil(side / 8) cells.
The light head (DeepLab's LargeFOV, Chen et al. 2015) sees the same 380 px with a 3x3x1024 fc6 dilated by 12.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from atrous.errors import ConfigError
from atrous.geometry.axis import effective_kernel_size
from atrous.layers.init import he_normal_
from atrous.models.contract import IMAGENET_BGR, DenseNetwork, LogitGeometry
from atrous.models.vgg import dense_vgg_layers

OUTPUT_STRIDE = 8
RECEPTIVE_FIELD = 380
CENTER = (OUTPUT_STRIDE - 1) / 2  # three 2x2 pools
MARGIN = (RECEPTIVE_FIELD - OUTPUT_STRIDE) // 2  # 186; released scripts
FINAL_STD = 0.001  # released train.py, last front-end layer


@dataclass(frozen=True, slots=True)
class Head:
    """The fully connected layers as convolutions: fc6, fc7, with dropout after each.

    Attributes:
        channels: Of fc6 and of fc7.
        kernel_size: Of fc6, in cells; fc7 is 1x1.
        dilation: Of fc6, in cells.
        dropout: Share of values that are dropped while training.
    """

    channels: int
    kernel_size: int
    dilation: int
    dropout: float = 0.5

    @property
    def cells(self) -> int:
        """That it sees of the features, per axis."""
        return effective_kernel_size(self.kernel_size, self.dilation)

    def layers(self, in_channels: int, *, padded: bool) -> OrderedDict[str, nn.Module]:
        """Layers fc6 .. drop7, by their Caffe names.

        Args:
            in_channels: Of the features.
            padded: Whether fc6 keeps their size.
        """
        padding = self.dilation * (self.kernel_size - 1) // 2 if padded else 0
        fc6 = nn.Conv2d(in_channels, self.channels, self.kernel_size, dilation=self.dilation, padding=padding)
        fc7 = nn.Conv2d(self.channels, self.channels, 1)
        return OrderedDict(
            fc6=he_normal_(fc6), relu6=nn.ReLU(inplace=True), drop6=nn.Dropout(self.dropout),
            fc7=he_normal_(fc7), relu7=nn.ReLU(inplace=True), drop7=nn.Dropout(self.dropout),
        )  # fmt: skip


RELEASED_HEAD = Head(channels=4096, kernel_size=7, dilation=4)
LIGHT_HEAD = Head(channels=1024, kernel_size=3, dilation=12)


class FrontEnd(DenseNetwork):
    """VGG-16 at output stride 8.

    Args:
        num_classes: Number of labels.
        padding: "none", the authors' network that wants a reflected margin of 186 px, or "same".
        head: Size of fc6 and fc7; both heads of this file see 380 px.

    Raises:
        ConfigError: If the padding is neither.
    """

    def __init__(self, num_classes: int, *, padding: str = "none", head: Head = RELEASED_HEAD) -> None:
        super().__init__()
        if padding not in ("none", "same"):
            raise ConfigError(f'the padding of a front end is "none" or "same", not "{padding}"')
        padded = padding == "same"
        self.is_unpadded = not padded
        self.num_classes = num_classes
        self.normalization = IMAGENET_BGR
        self.geometry = LogitGeometry(OUTPUT_STRIDE, CENTER, RECEPTIVE_FIELD, 0 if padded else MARGIN)
        final = nn.Conv2d(head.channels, num_classes, 1)
        nn.init.normal_(final.weight, 0.0, FINAL_STD)
        nn.init.zeros_(final.bias)  # type: ignore[arg-type]
        layers = dense_vgg_layers(padded=padded)
        layers.update(**head.layers(512, padded=padded), final=final)
        self.layers = nn.Sequential(OrderedDict(layers))

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        """Logits (b, k, ceil(h / 8), ceil(w / 8)) of the image inside the margin."""
        return self.layers(images)

    def class_layers(self) -> Sequence[str]:
        """The last."""
        return ("layers.final.",)

    def new_layers(self) -> Sequence[str]:
        """The head; ImageNet's convolutions bring the rest."""
        return ("layers.fc6.", "layers.fc7.", "layers.final.")


def frontend(num_classes: int = 21) -> FrontEnd:
    """The authors' front end: no padding, reflected input, 134M parameters."""
    return FrontEnd(num_classes)


def frontend_same(num_classes: int = 21) -> FrontEnd:
    """The same weights and receptive field with zero padding in every layer: no margin to add."""
    return FrontEnd(num_classes, padding="same")


def frontend_light(num_classes: int = 21) -> FrontEnd:
    """Front end with a 1024-channel head, same-padded, for machines without a GPU: 20M parameters."""
    return FrontEnd(num_classes, padding="same", head=LIGHT_HEAD)
