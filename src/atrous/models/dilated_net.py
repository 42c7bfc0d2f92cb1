"""Front end and context module as one network (Yu & Koltun 2016, section 5)."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from atrous.errors import ShapeError
from atrous.layers.upsample import BilinearUpsampling
from atrous.layers.upsample_features import crop_to
from atrous.models.context import ContextModule
from atrous.models.contract import DenseNetwork
from atrous.models.frontend import frontend, frontend_light


class DilatedNet(DenseNetwork):
    """A context module on top of any front end.

    Args:
        front_end: Any network of the catalog without a context module.
        context: For the same number of classes.
        upsampling: Last layer, where logits are wanted at a smaller stride; none unless given.

    Raises:
        ShapeError: If the parts have different numbers of classes.
    """

    def __init__(
        self,
        *,
        front_end: DenseNetwork,
        context: ContextModule,
        upsampling: BilinearUpsampling | None = None,
    ) -> None:
        super().__init__()
        if front_end.num_classes != context.num_classes:
            raise ShapeError(
                f"front end of {front_end.num_classes} classes and context module of {context.num_classes}: "
                "build both for the same number"
            )
        self.front_end = front_end
        self.context = context
        self.upsampling = upsampling
        self.num_classes = front_end.num_classes
        self.num_channels = front_end.num_channels
        self.normalization = front_end.normalization
        self.geometry = front_end.geometry.then_cells(context.receptive_field)
        if upsampling is not None:
            self.geometry = self.geometry.then_upsampled(upsampling.factor)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k y x"]:
        """Logits of the front end, refined; upsampled ones end where the image ends."""
        logits = self.context(self.front_end(images))
        if self.upsampling is None:
            return logits
        height, width = (side - 2 * self.margin for side in images.shape[-2:])
        return crop_to(self.upsampling(logits), height, width)

    def class_layers(self) -> Sequence[str]:
        """The last layer of the front end and all that follows."""
        in_front_end = (f"front_end.{prefix}" for prefix in self.front_end.class_layers())
        return (*in_front_end, "context.", "upsampling.")

    def new_layers(self) -> Sequence[str]:
        """The head of the front end and the whole context module."""
        return (*(f"front_end.{prefix}" for prefix in self.front_end.new_layers()), "context.")


def dilation8(num_classes: int = 21) -> DilatedNet:
    """The authors' front end and the Basic context module: 67 cells, 908 px."""
    return DilatedNet(front_end=frontend(num_classes), context=ContextModule(num_classes))


def dilation8_large(num_classes: int = 21) -> DilatedNet:
    """The authors' front end and the Large context module."""
    return DilatedNet(front_end=frontend(num_classes), context=ContextModule(num_classes, variant="large"))


def dilation8_light(num_classes: int = 21) -> DilatedNet:
    """The light front end and the Basic context module, for machines without a GPU."""
    return DilatedNet(front_end=frontend_light(num_classes), context=ContextModule(num_classes))
