"""Dilated self-attention on a backbone: the fourth way to context, beside encoders, dilation and pyramids.

Hassani & Shi 2022, "Dilated neighborhood attention transformer": attention in k x k neighborhoods whose
dilation grows from layer to layer sees as far as dilated convolutions do, at the cost of a local one, and
each cell weighs what it sees by content. The paper builds whole backbones of it; here it stands where Yu &
Koltun's context module stands, on the features of a dilated classifier.

| layer     | project | 1   | 2   | 3   | 4   | 5   | classes |
|-----------|---------|-----|-----|-----|-----|-----|---------|
| neighbors | 1x1     | 5x5 | 5x5 | 5x5 | 5x5 | 5x5 | 1x1     |
| dilation  | -       | 1   | 2   | 4   | 8   | 1   | -       |
| cells     | 1       | 5   | 13  | 29  | 61  | 65  | 65      |

The last layer is not dilated, as in Yu & Koltun's module: without it neighbors would live on four grids that
never meet after layer 1. Every cell sees a finite field, so that images larger than memory can be streamed
through exactly.
"""

from torch import nn

from atrous.layers.attention import AttentionBlock, ChannelNorm
from atrous.layers.blocks import conv_norm_relu
from atrous.models.backbones import build_backbone
from atrous.models.heads import Head, OneHead

OUTPUT_STRIDE = 8
CHANNELS = 256
NUM_HEADS = 8  # of 32 channels, as in the paper's every variant
KERNEL_SIZE = 5
DILATIONS = (1, 2, 4, 8, 1)  # doubled, and one that joins the grids, as in Yu & Koltun's module


def attention_head(in_channels: int, num_classes: int) -> Head:
    """A 1x1 convolution, blocks of attention that look farther and farther, and the classes."""
    blocks = [
        AttentionBlock(CHANNELS, num_heads=NUM_HEADS, kernel_size=KERNEL_SIZE, dilation=dilation)
        for dilation in DILATIONS
    ]
    cells = 1 + sum(block.attention.cells - 1 for block in blocks)
    layers = (*conv_norm_relu(in_channels, CHANNELS, 1), *blocks, ChannelNorm(CHANNELS), nn.Dropout(0.1))
    return Head(*layers, nn.Conv2d(CHANNELS, num_classes, 1), cells=cells)


def dilated_attention(num_classes: int = 21, *, backbone: str = "resnet50") -> OneHead:
    """Dilated neighborhood attention on ResNet-50 at output stride 8: 65 cells."""
    features = build_backbone(backbone, output_stride=OUTPUT_STRIDE)
    head = attention_head(features.stages[-1].channels, num_classes)
    return OneHead(features, head, num_classes=num_classes)
