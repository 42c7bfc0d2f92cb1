"""FCN-32s, 16s and 8s (Long et al. 2015): a classifier read at stride 32, and what pools lost joined again.

| layer                | reads        | kernel        | output stride | receptive field |
|----------------------|--------------|---------------|---------------|-----------------|
| VGG-16 to pool5      | the image    |               | 32            | 212             |
| fc6, fc7             | pool5        | 7, 1 (4096)   | 32            | 404             |
| score: FCN-32s       | fc7          | 1             | 32            | 404             |
| + pool4: FCN-16s     | twice score  | 4, stride 2   | 16            | 436             |
| + pool3: FCN-8s      | twice that   | 4, stride 2   | 8             | 468             |

The paper pads conv1_1 by 100 px so that an unpadded fc6 fits on any image, and crops by offsets counted by
hand. Here fc6 pads its three cells, logits lie at 32 r + 15.5, 16 r + 7.5 and 8 r + 3.5, and the last, fixed
upsampling to pixels is outside. Skips are trained at once, so pools are scaled as in the authors' at-once
networks, and their scores start at zero. The deepest score, which starts at zero there, starts near it here:
below zeros, nothing would learn from the first update.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from atrous.layers.upsample import LearnedDoubling
from atrous.models.backbone import Backbone
from atrous.models.backbones import build_backbone
from atrous.models.contract import DenseNetwork
from atrous.models.frontend import FINAL_STD, Head

OUTPUT_STRIDE = 32
FULL_HEAD = Head(channels=4096, kernel_size=7, dilation=1)
LIGHT_HEAD = Head(channels=1024, kernel_size=3, dilation=3)  # the same 404 px


@dataclass(frozen=True, slots=True)
class Skip:
    """Features joined on the way up.

    Attributes:
        stride: Of the stage they come from; each half that of the one before.
        scale: They are multiplied by.
    """

    stride: int
    scale: float = 1.0


SKIPS = (Skip(16, 0.01), Skip(8, 0.0001))  # the authors' voc-fcn8s-atonce, for VGG's activations of hundreds
PLAIN_SKIPS = (Skip(16), Skip(8))  # for backbones with batch normalization


class FCN(DenseNetwork):
    """A backbone, fc6 and fc7 as convolutions, and scores of stages joined by learned doublings.

    Args:
        backbone: Gives the features.
        head: Size of fc6 and fc7.
        num_classes: Number of labels.
        skips: Stages joined, from coarse to fine; none is FCN-32s.

    Raises:
        ConfigError: If the backbone has no stage at the stride of a skip.
    """

    def __init__(
        self, backbone: Backbone, head: Head, *, num_classes: int, skips: Sequence[Skip] = ()
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.normalization = backbone.normalization
        self.skips = tuple((backbone.stage_at(skip.stride), skip.scale) for skip in skips)
        stages = [backbone.stages[-1], *(backbone.stages[number] for number, _ in self.skips)]
        places = [stage.geometry for stage in stages]
        shifts = [(fine.center - coarse.center) / fine.output_stride for coarse, fine in pairwise(places)]
        self.backbone = backbone
        self.head = nn.Sequential(head.layers(stages[0].channels, padded=True))
        self.score = nn.Conv2d(head.channels, num_classes, 1)
        nn.init.normal_(self.score.weight, 0.0, FINAL_STD)
        nn.init.zeros_(self.score.bias)  # type: ignore[arg-type]
        self.doublings = nn.ModuleList(LearnedDoubling(num_classes, shift=shift) for shift in shifts)
        self.skip_scores = nn.ModuleList(_zero_score(stage.channels, num_classes) for stage in stages[1:])
        # Between two coarse cells lie others on their way up; cells centered on one read it alone.
        read = 1 + (len(skips) if any(shifts) else min(len(skips), 1))
        seen = places[0].then_cells(head.cells).then_cells(read)
        self.geometry = replace(seen, output_stride=places[-1].output_stride, center=places[-1].center)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        """Logits at the cells of the last skip, or of the backbone."""
        features = self.backbone(images)
        logits = self.score(self.head(features[-1]))
        for double, score, (number, scale) in zip(self.doublings, self.skip_scores, self.skips, strict=True):
            own = score(features[number] * scale)
            logits = double(logits, own) + own
        return logits

    def class_layers(self) -> Sequence[str]:
        """The scores and what doubles them."""
        return ("score.", "skip_scores.", "doublings.") if self.skips else ("score.",)

    def new_layers(self) -> Sequence[str]:
        """Everything but the backbone; of VGG-16, fc6 and fc7 are known too."""
        return ("head.", *self.class_layers())


def _zero_score(channels: int, num_classes: int) -> nn.Conv2d:
    """A score that changes nothing at first; section 4.2."""
    conv = nn.Conv2d(channels, num_classes, 1)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def _fcn(num_classes: int, backbone: str, num_skips: int) -> FCN:
    """On VGG-16 as published; fc6 and fc7 are VGG's, so other backbones get the light head."""
    is_vgg = backbone == "vgg16"
    return FCN(
        build_backbone(backbone, output_stride=OUTPUT_STRIDE),
        FULL_HEAD if is_vgg else LIGHT_HEAD,
        num_classes=num_classes,
        skips=(SKIPS if is_vgg else PLAIN_SKIPS)[:num_skips],
    )


def fcn32s(num_classes: int = 21, *, backbone: str = "vgg16") -> FCN:
    """FCN-32s: VGG-16 with all its pools, no skips, output stride 32."""
    return _fcn(num_classes, backbone, 0)


def fcn16s(num_classes: int = 21, *, backbone: str = "vgg16") -> FCN:
    """FCN-16s: FCN-32s joined with pool4."""
    return _fcn(num_classes, backbone, 1)


def fcn8s(num_classes: int = 21, *, backbone: str = "vgg16") -> FCN:
    """FCN-8s: FCN-16s joined with pool3."""
    return _fcn(num_classes, backbone, 2)
