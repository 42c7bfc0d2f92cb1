"""A small front end trained from nothing, for demonstrations and small data: 0.1M parameters, stride 4."""

from collections import OrderedDict
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from atrous.layers.blocks import CeilMaxPool
from atrous.layers.init import he_normal_
from atrous.models.context import ContextModule
from atrous.models.contract import PLAIN_RGB, DenseNetwork, LogitGeometry
from atrous.models.dilated_net import DilatedNet

OUTPUT_STRIDE = 4
CENTER = 1.5  # two 2x2 pools
RECEPTIVE_FIELD = 32  # 3, 5, 6 | 10, 14, 16 | 24, 32


class CompactFrontEnd(DenseNetwork):
    """VGG in miniature: three stages of two 3x3 convolutions, pooled after the first two.

    Args:
        num_classes: Number of labels.
        width: Channels of the first stage; the next have two and four times as many.
    """

    def __init__(self, num_classes: int, *, width: int = 16) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.normalization = PLAIN_RGB
        self.geometry = LogitGeometry(OUTPUT_STRIDE, CENTER, RECEPTIVE_FIELD)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        in_channels = 3
        for stage, channels in enumerate((width, 2 * width, 4 * width), start=1):
            for index in (1, 2):
                conv = nn.Conv2d(in_channels, channels, 3, padding=1)
                layers[f"conv{stage}_{index}"] = he_normal_(conv)
                layers[f"relu{stage}_{index}"] = nn.ReLU(inplace=True)
                in_channels = channels
            if stage < 3:
                layers[f"pool{stage}"] = CeilMaxPool()
        final = nn.Conv2d(in_channels, num_classes, 1)
        nn.init.zeros_(final.bias)  # type: ignore[arg-type]
        self.layers = nn.Sequential(OrderedDict(layers, final=final))

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        """Logits (b, k, ceil(h / 4), ceil(w / 4))."""
        return self.layers(images)

    def class_layers(self) -> Sequence[str]:
        """The last."""
        return ("layers.final.",)

    def new_layers(self) -> Sequence[str]:
        """Everything: nothing is pretrained."""
        return ("layers.",)


def compact(num_classes: int = 21) -> CompactFrontEnd:
    """The small front end alone; it sees 32 px."""
    return CompactFrontEnd(num_classes)


def compact_context(num_classes: int = 21) -> DilatedNet:
    """The small front end and the Basic context module; together they see 296 px."""
    return DilatedNet(front_end=CompactFrontEnd(num_classes), context=ContextModule(num_classes))
