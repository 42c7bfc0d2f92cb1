"""The naive ways to label every pixel, beside dilation: small networks in the size class of `compact`.

| network                 | way                               | stride | sees   | parameters | GMAC |
|-------------------------|-----------------------------------|--------|--------|------------|------|
| `naive_no_pooling`      | pools removed, nothing dilated    | 1      | 13 px  | 73,445     | 19.2 |
| `naive_large_filters`   | filters of 3 to 33 cells a side   | 4      | 296 px | 740,405    | 13.5 |
| `naive_late_upsampling` | pooled to 1/32, then interpolated | 32     | 284 px | 295,013    | 2.9  |
| `naive_skips`           | pooled to 1/16, skips back to 1/4 | 4      | 188 px | 295,013    | 3.7  |
| `compact`               | pools, and nothing against them   | 4      | 32 px  | 73,445     | 2.6  |
| `compact_dilated`       | dilation in place of the pools    | 1      | 29 px  | 73,445     | 19.2 |
| `compact_context`       | filters of 3 cells, dilated to 33 | 4      | 296 px | 101,837    | 3.0  |

GMAC: billions of multiply-adds for 512 x 512 px, 21 classes. Yu & Koltun 2016, sections 1 and 2, argue
against them: a small field, parameters that grow with the square of the filter, outlines lost in pools.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from atrous.layers.blocks import CeilMaxPool
from atrous.layers.init import he_normal_, identity_
from atrous.layers.upsample_features import upsample_features
from atrous.models.compact import CompactFrontEnd
from atrous.models.context import DILATIONS
from atrous.models.contract import PLAIN_RGB, DenseNetwork, LogitGeometry

NO_POOLING = LogitGeometry(output_stride=1, center=0.0, receptive_field=13)
LARGE_FILTERS = LogitGeometry(output_stride=4, center=1.5, receptive_field=296)
LATE = LogitGeometry(output_stride=32, center=15.5, receptive_field=284)
SKIPS = LogitGeometry(output_stride=4, center=1.5, receptive_field=188)
STAGES = (16, 32, 64, 64, 64, 64)  # channels at 1/1, 1/2, 1/4 as in `compact`, and on


class Naive(DenseNetwork):
    """A chain of layers.

    Args:
        body: Up to the last features.
        head: Features to logits.
        num_classes: Number of labels.
        geometry: What follows from the layers.
    """

    def __init__(
        self, body: nn.Module, head: nn.Module, *, num_classes: int, geometry: LogitGeometry
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.normalization = PLAIN_RGB
        self.geometry = geometry
        self.body = body
        self.head = head

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        """Logits (b, k, ceil(h / stride), ceil(w / stride))."""
        return self.head(self.body(images))

    def class_layers(self) -> Sequence[str]:
        """The head."""
        return ("head.",)

    def new_layers(self) -> Sequence[str]:
        """Everything: nothing is pretrained."""
        return ("body.", "head.")


class SkipBody(nn.Module):
    """Down to 1/16 and back to 1/4: what comes up is added to what was there on the way down."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(_stages(STAGES[:5]))
        self.merge = nn.ModuleList(_conv(STAGES[4], STAGES[4]) for _ in range(2))

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c y x"]:
        """Features at 1/4."""
        skips: list[Tensor] = []
        features = images
        for stage in self.down:
            features = stage(features)
            skips.append(features)
        for skip, merge in zip((skips[3], skips[2]), self.merge, strict=True):
            features = merge(upsample_features(features, skip, factor=2, shift=-0.5) + skip)
        return features


def _conv(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        he_normal_(nn.Conv2d(in_channels, out_channels, 3, padding=1)), nn.ReLU(inplace=True)
    )


def _stages(widths: Sequence[int]) -> list[nn.Sequential]:
    """Two 3x3 convolutions each, with a 2x2 pool before all but the first."""
    pairs = zip((3, *widths), widths, strict=False)
    return [
        nn.Sequential(*[CeilMaxPool()] * (number > 0), _conv(before, width), _conv(width, width))
        for number, (before, width) in enumerate(pairs)
    ]


def _classifier(num_classes: int) -> nn.Conv2d:
    final = nn.Conv2d(STAGES[-1], num_classes, 1)
    nn.init.zeros_(final.bias)  # type: ignore[arg-type]
    return final


def naive_no_pooling(num_classes: int = 21) -> CompactFrontEnd:
    """The small front end without its pools, and nothing in their place: its weights fit, it sees 13 px."""
    return CompactFrontEnd(num_classes, pools=False, geometry=NO_POOLING)


def naive_large_filters(num_classes: int = 21) -> Naive:
    """The context module's seven layers as plain filters of 3 to 33 cells a side: 296 px, by many weights."""
    filters: list[nn.Module] = []
    for side in (2 * dilation + 1 for dilation in DILATIONS):
        conv = nn.Conv2d(num_classes, num_classes, side, padding=side // 2)
        filters += [identity_(conv, num_groups=num_classes), nn.ReLU(inplace=True)]
    last = identity_(nn.Conv2d(num_classes, num_classes, 1), num_groups=num_classes)
    body = CompactFrontEnd(num_classes)
    return Naive(body, nn.Sequential(*filters, last), num_classes=num_classes, geometry=LARGE_FILTERS)


def naive_late_upsampling(num_classes: int = 21) -> Naive:
    """Pooled five times, as FCN-32s: it sees 284 px, in cells of 32 px that are interpolated."""
    body = nn.Sequential(*_stages(STAGES))
    return Naive(body, _classifier(num_classes), num_classes=num_classes, geometry=LATE)


def naive_skips(num_classes: int = 21) -> Naive:
    """A small encoder-decoder: pooled to 1/16, and back to 1/4 with what was there before added."""
    return Naive(SkipBody(), _classifier(num_classes), num_classes=num_classes, geometry=SKIPS)
