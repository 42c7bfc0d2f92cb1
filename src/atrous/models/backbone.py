"""What a network stands on: images in, the features of every stage out, and where these lie."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from atrous.models.contract import LogitGeometry, Normalization


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
    normalization: Normalization

    @abstractmethod
    def forward(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b _c _y _x"], ...]:
        """Features (b, channels, ceil(h / stride), ceil(w / stride)) of every stage."""
