"""A small front end trained from nothing, for demonstrations and small data: 0.1M parameters.

| network           | stride | sees   | how                                                  |
|-------------------|--------|--------|------------------------------------------------------|
| `compact`         | 4      | 32 px  | two pools                                            |
| `compact_context` | 4      | 296 px | two pools, and the Basic context module on top       |
| `compact_dilated` | 1      | 29 px  | dilations 2 and 4 in their place; same weights shapes |
"""

from collections import OrderedDict
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from atrous.layers.blocks import CeilMaxPool
from atrous.layers.init import he_normal_
from atrous.models.context import ContextModule
from atrous.models.contract import PLAIN_RGB, DenseNetwork, LogitGeometry
from atrous.models.dilated_net import DilatedNet

WIDTH = 16  # channels of the first stage; the next have two and four times as many
POOLED = LogitGeometry(output_stride=4, center=1.5, receptive_field=32)  # 3, 5, 6 | 10, 14, 16 | 24, 32
DILATED = LogitGeometry(output_stride=1, center=0.0, receptive_field=29)  # 3, 5 | 9, 13 | 21, 29


class CompactFrontEnd(DenseNetwork):
    """VGG in miniature: three stages of two 3x3 convolutions.

    Args:
        num_classes: Number of labels.
        width: Channels of the first stage; the next have two and four times as many.
        dilations: Of each stage's convolutions; 1 throughout where pools lie between the stages.
        pools: Whether a 2x2 pool follows each of the first two stages.
        geometry: What follows from dilations and pools.
        in_channels: 3 for an image, 6 for a pair of them.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        width: int = WIDTH,
        dilations: tuple[int, int, int] = (1, 1, 1),
        pools: bool = True,
        geometry: LogitGeometry = POOLED,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.num_channels = in_channels
        self.num_classes = num_classes
        self.normalization = PLAIN_RGB
        self.geometry = geometry
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for stage, dilation in enumerate(dilations, start=1):
            for index in (1, 2):
                channels = width << (stage - 1)
                conv = nn.Conv2d(in_channels, channels, 3, padding=dilation, dilation=dilation)
                layers[f"conv{stage}_{index}"] = he_normal_(conv)
                layers[f"relu{stage}_{index}"] = nn.ReLU(inplace=True)
                in_channels = channels
            if pools and stage < len(dilations):
                layers[f"pool{stage}"] = CeilMaxPool()
        final = nn.Conv2d(in_channels, num_classes, 1)
        nn.init.zeros_(final.bias)  # type: ignore[arg-type]
        self.layers = nn.Sequential(OrderedDict(layers, final=final))

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k y x"]:
        """Logits (b, k, ceil(h / stride), ceil(w / stride))."""
        return self.layers(images)

    def class_layers(self) -> Sequence[str]:
        """The last."""
        return ("layers.final.",)

    def new_layers(self) -> Sequence[str]:
        """Everything: nothing is pretrained."""
        return ("layers.",)


def compact(num_classes: int = 21, *, in_channels: int = 3) -> CompactFrontEnd:
    """The small front end alone; it sees 32 px."""
    return CompactFrontEnd(num_classes, in_channels=in_channels)


def compact_context(num_classes: int = 21) -> DilatedNet:
    """The small front end and the Basic context module; together they see 296 px."""
    return DilatedNet(front_end=CompactFrontEnd(num_classes), context=ContextModule(num_classes))


def compact_dilated(num_classes: int = 21) -> CompactFrontEnd:
    """The small front end with dilation in place of its pools: a cell a pixel, 29 px seen."""
    return CompactFrontEnd(num_classes, dilations=(1, 2, 4), pools=False, geometry=DILATED)
