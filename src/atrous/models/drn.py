"""Dilated residual networks (Yu, Koltun & Funkhouser 2017): stride 8 from the start, no gridding at the end.

| layer | stride | dilation | channels | C-26   | D-22   | D-38   | D-54, D-105         |
|-------|--------|----------|----------|--------|--------|--------|---------------------|
| 0     | 1      | 1        | 16       | 7x7    | 7x7    | 7x7    | 7x7                 |
| 1     | 1      | 1        | 16       | 2x 3x3 | 3x3    | 3x3    | 3x3                 |
| 2     | 2      | 1        | 32       | 2x 3x3 | 3x3    | 3x3    | 3x3                 |
| 3     | 4      | 1        | 64       | 2      | 2      | 3      | 3 bottlenecks       |
| 4     | 8      | 1        | 128      | 2      | 2      | 4      | 4 bottlenecks       |
| 5     | 8      | 2        | 256      | 2      | 2      | 6      | 6 or 23 bottlenecks |
| 6     | 8      | 4        | 512      | 2      | 2      | 3      | 3 bottlenecks       |
| 7     | 8      | 2        | 512      | 2x 3x3 | 3x3    | 3x3    | 3x3                 |
| 8     | 8      | 1        | 512      | 2x 3x3 | 3x3    | 3x3    | 3x3                 |

Bottlenecks end in four times the channels. Max pooling passes high frequencies on, so layers 1 and 2 stand in
its place; layers 7 and 8 join the grids that dilation leaves apart, without shortcuts, which would pass the
grids on (section 4, figure 5). As classifiers with 1000 classes: 21.1M parameters (C-26), 16.4M (D-22), 26.5M
(D-38), 35.8M (D-54), 54.8M (D-105); the classes are a 1x1 convolution there too. All padding is symmetric
around a cell at pixel 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor, nn

from atrous.layers.blocks import conv_norm_relu
from atrous.models.contract import DenseNetwork, LogitGeometry
from atrous.models.resnet import IMAGENET_RGB, BasicBlock, Block, Bottleneck

WIDTHS = (16, 32, 64, 128, 256, 512, 512, 512)  # of layer1 .. layer8
STRIDES = (1, 2, 2, 2, 1, 1, 1, 1)
DILATIONS = (1, 1, 1, 1, 2, 4, 2, 1)
ENDS = (1, 2, 7, 8)  # layers of plain convolutions in D, of basic blocks in C
DEGRIDDING = (7, 8)


@dataclass(frozen=True, slots=True)
class Architecture:
    """What tells one DRN from another.

    Attributes:
        block: Of layer3 .. layer6.
        depths: Blocks or convolutions of layer1 .. layer8.
        has_plain_ends: Whether layers 1, 2, 7 and 8 are convolutions (D) or basic blocks (C).
    """

    block: Block
    depths: tuple[int, ...]
    has_plain_ends: bool = True


class UnshortenedBlock(BasicBlock):
    """Two 3x3 convolutions, and no shortcut that would pass the grids on."""

    def forward(self, features: Float[Tensor, "b _c h w"]) -> Float[Tensor, "b _k h w"]:
        """Features of the same size."""
        return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(features))))))


class DRN(DenseNetwork):
    """A dilated residual network; layers named as in the authors' state dicts.

    Args:
        num_classes: Number of labels.
        architecture: Its blocks.
    """

    def __init__(self, num_classes: int, architecture: Architecture) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.normalization = IMAGENET_RGB
        self.layer0 = conv_norm_relu(3, WIDTHS[0], 7)
        self.geometry = LogitGeometry(1, 0.0, 7)
        channels = WIDTHS[0]
        for number, depth in enumerate(architecture.depths, start=1):
            channels = self._add_layer(number, depth, channels, architecture)
        self.seg = nn.Conv2d(channels, num_classes, 1)

    def _add_layer(self, number: int, depth: int, channels: int, architecture: Architecture) -> int:
        """Layer `number` after the others; returns its channels."""
        width, stride, dilation = (row[number - 1] for row in (WIDTHS, STRIDES, DILATIONS))
        is_plain = number in ENDS and architecture.has_plain_ends
        block = architecture.block if number not in ENDS else BasicBlock
        block = UnshortenedBlock if number in DEGRIDDING else block
        layers: list[nn.Module] = []
        for index in range(depth):
            step = 1 if index else stride
            if is_plain:
                layers += conv_norm_relu(channels, width, 3, stride=step, dilation=dilation)
                channels, spans = width, (dilation,)
            else:
                layers.append(block(channels, width, stride=step, dilations=(dilation, dilation)))
                channels, spans = width * block.expansion, (dilation,) * block.num_wide
            for place, span in enumerate(spans):
                self.geometry = self.geometry.then_cells(1 + 2 * span)
                if not place:
                    self.geometry = replace(self.geometry, output_stride=self.geometry.output_stride * step)
        self.add_module(f"layer{number}", nn.Sequential(*layers))
        return channels

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        """Logits (b, k, ceil(h / 8), ceil(w / 8))."""
        features = images
        for layer in self.children():
            features = layer(features)
        return features

    def class_layers(self) -> Sequence[str]:
        """The last."""
        return ("seg.",)

    def new_layers(self) -> Sequence[str]:
        """The last: classifiers bring all others."""
        return ("seg.",)


_LAYERS = tuple(f"layer{number}" for number in range(9))
_OWN = {"conv1": "layer0.0", "bn1": "layer0.1", "fc": "seg"}  # C's first layers, and the classes


def is_authors(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a published classifier or segmentation network."""
    return any(name.startswith(("layer8.", "base.8.", "module.base.8.")) for name in tensors)


def from_authors(tensors: Mapping[str, Tensor], network: DRN) -> dict[str, Tensor]:
    """The authors' published weights by our names, of a classifier or of a segmentation network.

    A segmentation network counts its layers under `base`, and ends in a frozen transposed convolution, for
    which the upsampler outside stands here. Classes are left out where the network has others.

    Args:
        tensors: The state dict as published.
        network: That it is for.
    """
    given = {name.removeprefix("module."): value for name, value in tensors.items()}
    counted = ("conv1", "bn1", "relu", *_LAYERS[1:]) if "base.0.weight" in given else _LAYERS
    found: dict[str, Tensor] = {}
    for name, value in given.items():
        first, rest = name.split(".", 1)
        if first == "base":
            number, rest = rest.split(".", 1)
            first = counted[int(number)]
        if first != "up":
            found[f"{_OWN.get(first, first)}.{rest}"] = value
    if (final := found.get("seg.weight")) is not None and final.shape != network.seg.weight.shape:
        found = {name: value for name, value in found.items() if not name.startswith("seg.")}
    return found


def drn_c_26(num_classes: int = 21) -> DRN:
    """DRN-C-26: degridding by two blocks without shortcuts."""
    return DRN(num_classes, Architecture(BasicBlock, (1, 1, 2, 2, 2, 2, 1, 1), has_plain_ends=False))


def drn_d_22(num_classes: int = 21) -> DRN:
    """DRN-D-22: C-26 with single convolutions for its outer blocks."""
    return DRN(num_classes, Architecture(BasicBlock, (1, 1, 2, 2, 2, 2, 1, 1)))


def drn_d_38(num_classes: int = 21) -> DRN:
    """DRN-D-38: as deep as ResNet-34, dilated and degridded."""
    return DRN(num_classes, Architecture(BasicBlock, (1, 1, 3, 4, 6, 3, 1, 1)))


def drn_d_54(num_classes: int = 21) -> DRN:
    """DRN-D-54: as deep as ResNet-50, dilated and degridded."""
    return DRN(num_classes, Architecture(Bottleneck, (1, 1, 3, 4, 6, 3, 1, 1)))


def drn_d_105(num_classes: int = 21) -> DRN:
    """DRN-D-105: as deep as ResNet-101, dilated and degridded."""
    return DRN(num_classes, Architecture(Bottleneck, (1, 1, 3, 4, 23, 3, 1, 1)))
