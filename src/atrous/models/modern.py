"""What practice joins today: a dilated backbone, a pyramid, attention, and a skip to fine features.

| part      | choice                                             | from                                  |
|-----------|----------------------------------------------------|---------------------------------------|
| backbone  | ResNet-50 at output stride 16, layer4 dilated by 2 | DeepLab v3+ (Chen et al. 2018)        |
| pyramid   | ASPP 6, 12, 18 and the whole image, 256 channels   | DeepLab v3 (Chen et al. 2017), 4.2    |
| attention | two blocks of 5 x 5 neighbors, dilated by 1 and 4  | Hassani & Shi 2022: local, then far   |
| skip      | stride 4 through 1x1 to 48 channels                | DeepLab v3+, table 1                  |
| decoder   | two 3x3 convolutions of 256 channels, the classes  | DeepLab v3+, table 2                  |

Logits lie at stride 4, four times as fine as the features that see far. Attention stands behind the pyramid,
where maps are smallest: cells weigh by content what the pyramid gathered by distance. No paper has just these
parts.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.layers.attention import AttentionBlock
from atrous.layers.blocks import conv_norm_relu
from atrous.layers.pyramid import ASPP
from atrous.layers.upsample_features import upsample_features
from atrous.models.backbone import Backbone
from atrous.models.backbones import build_backbone
from atrous.models.contract import DenseNetwork
from atrous.models.joined import cells_of, geometry_of, joined

OUTPUT_STRIDE = 16
FINE_STRIDE = 4
DILATIONS = (6, 12, 18)
CHANNELS, FINE_CHANNELS = 256, 48
NUM_HEADS, KERNEL_SIZE, ATTENTION_DILATIONS = 8, 5, (1, 4)
DROPOUT = 0.1


class ModernNetwork(DenseNetwork):
    """Pyramid and attention on the coarse stage of a backbone, joined with a fine one.

    Args:
        backbone: Gives the features; it needs a stage at stride 4.
        num_classes: Number of labels.

    Raises:
        ConfigError: If the backbone has no such stage.
    """

    def __init__(self, backbone: Backbone, *, num_classes: int) -> None:
        super().__init__()
        self.fine_stage = backbone.stage_at(FINE_STRIDE)
        fine, coarse = backbone.stages[self.fine_stage], backbone.stages[-1]
        self.backbone = backbone
        self.num_classes = num_classes
        self.normalization = backbone.normalization
        self.pyramid = ASPP(coarse.channels, DILATIONS, dropout=DROPOUT)
        self.attention = nn.Sequential(
            *(
                AttentionBlock(CHANNELS, num_heads=NUM_HEADS, kernel_size=KERNEL_SIZE, dilation=dilation)
                for dilation in ATTENTION_DILATIONS
            )
        )
        self.skip = conv_norm_relu(fine.channels, FINE_CHANNELS, 1)
        self.decoder = nn.Sequential(
            *conv_norm_relu(CHANNELS + FINE_CHANNELS, CHANNELS, 3),
            *conv_norm_relu(CHANNELS, CHANNELS, 3),
            nn.Dropout(DROPOUT),
        )
        self.classes = nn.Conv2d(CHANNELS, num_classes, 1)
        self.factor = coarse.geometry.output_stride // FINE_STRIDE
        self.shift = (fine.geometry.center - coarse.geometry.center) / FINE_STRIDE
        reach = max(DILATIONS) + (KERNEL_SIZE // 2) * sum(ATTENTION_DILATIONS)
        seen = cells_of(coarse.geometry.then_cells(1 + 2 * reach))
        seen = joined(seen, factor=self.factor, shift=self.shift, kernel_size=5)  # two 3x3
        self.geometry = geometry_of(seen, is_global=True)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        """Logits (b, k, ceil(h / 4), ceil(w / 4))."""
        stages = self.backbone(images)
        fine = self.skip(stages[self.fine_stage])
        coarse = self.attention(self.pyramid(stages[-1]))
        coarse = upsample_features(coarse, fine, factor=self.factor, shift=self.shift)
        return self.classes(self.decoder(torch.cat([coarse, fine], 1)))

    def class_layers(self) -> Sequence[str]:
        """The last."""
        return ("classes.",)

    def new_layers(self) -> Sequence[str]:
        """All beyond the backbone."""
        return ("pyramid.", "attention.", "skip.", "decoder.", "classes.")


def modern(num_classes: int = 21, *, backbone: str = "resnet50") -> ModernNetwork:
    """Pyramid, attention and a skip connection on a dilated ResNet-50: logits at stride 4."""
    features = build_backbone(backbone, output_stride=OUTPUT_STRIDE)
    return ModernNetwork(features, num_classes=num_classes)
