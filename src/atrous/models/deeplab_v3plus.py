"""DeepLab v3+ (Chen et al. 2018, "Encoder-decoder with atrous separable convolution"): v3 and a decoder.

| part      | layers                                                                 | cells every |
|-----------|------------------------------------------------------------------------|-------------|
| backbone  | ResNet-101 with DeepLab v3's multi-grid: layer4 dilated by 2 x (1,2,4) | 16 px       |
| pyramid   | 1x1, 3x3 dilated by 6, 12, 18, the pooled image; 256 channels          | 16 px       |
| low level | layer1 through a 1x1 convolution to 48 channels                        | 4 px        |
| decoder   | the pyramid enlarged, the low level beside it; two 3x3 of 256 channels | 4 px        |
| classes   | 1x1                                                                    | 4 px        |

3x3 convolutions of pyramid and decoder are separable, as in the paper's best network (there on Xception).
Cells are joined where they lie at any size, as the authors' aligned corners do at sides of 16 n + 1. The last
upsampling by 4 is outside.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.layers.blocks import conv_norm_relu, separable_norm_relu
from atrous.layers.pyramid import ASPP
from atrous.layers.upsample_features import upsample_features
from atrous.models.backbone import Backbone
from atrous.models.backbones import build_backbone
from atrous.models.contract import DenseNetwork
from atrous.models.deeplab_v3 import CHANNELS, multi_grid
from atrous.models.resnet import RESNETS

OUTPUT_STRIDE = 16  # of the backbone; section 4
LOW_LEVEL_STRIDE = 4
LOW_LEVEL_CHANNELS = 48  # table 1
DILATIONS = (6, 12, 18)  # at output stride 16; twice as far at 8
DROPOUT = 0.1  # of the pyramid, in the authors' code


class DeepLabV3Plus(DenseNetwork):
    """A backbone, the pyramid on its last stage, and the decoder at the cells of an early one.

    Args:
        backbone: Gives the features.
        num_classes: Number of labels.
        dilations: Of the pyramid, in cells of the last stage.

    Raises:
        ConfigError: If the backbone has no stage at stride 4.
    """

    def __init__(self, backbone: Backbone, *, num_classes: int, dilations: Sequence[int] = DILATIONS) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.normalization = backbone.normalization
        self.low_stage = backbone.stage_at(LOW_LEVEL_STRIDE)
        deep, low = backbone.stages[-1], backbone.stages[self.low_stage]
        self.factor = deep.geometry.output_stride // LOW_LEVEL_STRIDE
        self.shift = (low.geometry.center - deep.geometry.center) / LOW_LEVEL_STRIDE
        self.backbone = backbone
        self.pyramid = ASPP(
            deep.channels, dilations, channels=CHANNELS, dropout=DROPOUT, conv=separable_norm_relu
        )
        self.low_level = conv_norm_relu(low.channels, LOW_LEVEL_CHANNELS, 1)
        self.decoder = nn.Sequential(
            separable_norm_relu(CHANNELS + LOW_LEVEL_CHANNELS, CHANNELS, 3),
            separable_norm_relu(CHANNELS, CHANNELS, 3),
        )
        self.classifier = nn.Conv2d(CHANNELS, num_classes, 1)
        seen = deep.geometry.then_cells(1 + 2 * max(dilations)).then_cells(2)  # two cells interpolated
        seen = replace(seen, output_stride=LOW_LEVEL_STRIDE, center=low.geometry.center, is_global=True)
        self.geometry = seen.then_cells(5)  # two 3x3

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        """Logits (b, k, ceil(h / 4), ceil(w / 4))."""
        features = self.backbone(images)
        low = self.low_level(features[self.low_stage])
        deep = upsample_features(self.pyramid(features[-1]), low, factor=self.factor, shift=self.shift)
        return self.classifier(self.decoder(torch.cat([deep, low], dim=1)))

    def class_layers(self) -> Sequence[str]:
        """The last."""
        return ("classifier.",)

    def new_layers(self) -> Sequence[str]:
        """Pyramid and decoder."""
        return ("pyramid.", "low_level.", "decoder.", "classifier.")


def deeplab_v3plus(num_classes: int = 21, *, backbone: str = "resnet101") -> DeepLabV3Plus:
    """DeepLab v3+: pyramid at output stride 16, decoder at stride 4."""
    if backbone in RESNETS:
        features = RESNETS[backbone](output_stride=OUTPUT_STRIDE, dilations=multi_grid(OUTPUT_STRIDE))
    else:
        features = build_backbone(backbone, output_stride=OUTPUT_STRIDE)
    return DeepLabV3Plus(features, num_classes=num_classes)
