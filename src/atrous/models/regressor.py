"""A network for values instead of classes: features of a front end, context on them, values last.

A context module works on as many channels as it gives. The class scores of Yu & Koltun's front end are enough
for it; one or two values are not, and its rectifiers would cut off what is negative. So here the front end
gives features, the context module refines these, and a 1x1 convolution makes values of them.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from atrous.layers.init import he_normal_
from atrous.models.compact import CompactFrontEnd
from atrous.models.context import ContextModule
from atrous.models.contract import DenseNetwork

FEATURES = 32


class Regressor(DenseNetwork):
    """Front end, context module on its features, and a 1x1 convolution.

    Args:
        num_classes: Values an output cell: 1 for depth, 2 for flow.
        front_end: Its `num_classes` are the features.
    """

    def __init__(self, num_classes: int, *, front_end: DenseNetwork) -> None:
        super().__init__()
        features = front_end.num_classes
        self.num_classes = num_classes
        self.num_channels = front_end.num_channels
        self.front_end = front_end
        self.context = ContextModule(features)
        self.final = he_normal_(nn.Conv2d(features, num_classes, 1))
        nn.init.zeros_(self.final.bias)  # type: ignore[arg-type]
        self.normalization = front_end.normalization
        self.geometry = front_end.geometry.then_cells(self.context.receptive_field)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k y x"]:
        """Values (b, k, ceil(h / output_stride), ceil(w / output_stride))."""
        return self.final(self.context(self.front_end(images)))

    def class_layers(self) -> Sequence[str]:
        """The last."""
        return ("final.",)

    def new_layers(self) -> Sequence[str]:
        """The head of the front end and all that follows."""
        return (*(f"front_end.{prefix}" for prefix in self.front_end.new_layers()), "context.", "final.")


def compact_regressor(num_classes: int = 1, *, in_channels: int = 3) -> Regressor:
    """The small front end with 32 features and the Basic context module on them; they see 296 px."""
    return Regressor(num_classes, front_end=CompactFrontEnd(FEATURES, in_channels=in_channels))
