"""What a network stands on: images in, the features of every stage out, and where these lie."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from atrous.errors import ConfigError
from atrous.models.contract import AnyNormalization, LogitGeometry


@dataclass(frozen=True, slots=True)
class Stage:
    """The features that one stage of a backbone ends in.

    Attributes:
        channels: Number of features.
        geometry: Where the cells lie and how far they see.
    """

    channels: int
    geometry: LogitGeometry


class Backbone(nn.Module, ABC):
    """A classifier without its classes: normalized images (b, 3, h, w) become features, fine to coarse.

    Attributes:
        stages: Of all features that `forward` returns, in order; the last is the deepest.
        normalization: How it wants its pixels.
    """

    stages: Sequence[Stage]
    normalization: AnyNormalization

    @abstractmethod
    def forward(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b _c _y _x"], ...]:
        """Features (b, channels, ceil(h / stride), ceil(w / stride)) of every stage."""

    def stage_at(self, stride: int) -> int:
        """Number of the deepest stage at that output stride.

        Raises:
            ConfigError: If there is none.
        """
        strides = [stage.geometry.output_stride for stage in self.stages]
        if stride not in strides:
            raise ConfigError(
                f"this backbone gives features at stride {', '.join(map(str, strides))}, and {stride} is "
                "wanted; choose vgg16, a resnet or a mobilenet as backbone, or a network without skips"
            )
        return max(number for number, found in enumerate(strides) if found == stride)


def features_at(
    ends: Sequence[int], blocks: Sequence[nn.Module], features: Float[Tensor, "b _c h w"]
) -> tuple[Float[Tensor, "b _c _y _x"], ...]:
    """What comes out of the blocks of these numbers, one running after the other."""
    found: list[Tensor] = []
    for number, block in enumerate(blocks):
        features = block(features)
        if number in ends:
            found.append(features)
    return tuple(found)
