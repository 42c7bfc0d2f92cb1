"""A head on a backbone, with or without an auxiliary one: what most peers of the dilated front end are."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor, nn

from atrous.layers.blocks import conv_norm_relu
from atrous.models.backbone import Backbone, Stage
from atrous.models.contract import AuxiliaryNetwork, DenseNetwork, LogitGeometry


class Head(nn.Sequential):
    """Layers from features to logits at the same cells.

    Args:
        layers: In order; or all by name, in one ordered dictionary.
        cells: That one logit sees of the features, per axis.
        is_global: Whether it also sees all of them.
        class_layers: Paths of those that know the classes; the last unless given.
    """

    def __init__(
        self,
        *layers: nn.Module | OrderedDict[str, nn.Module],
        cells: int,
        is_global: bool = False,
        class_layers: Sequence[str] = (),
    ) -> None:
        super().__init__(*layers)  # type: ignore[arg-type]
        self.class_layers = tuple(class_layers) or (str(len(self) - 1),)
        self.cells = cells
        self.is_global = is_global

    def geometry(self, features: Stage) -> LogitGeometry:
        """Where the logits lie on these features."""
        grown = features.geometry.then_cells(self.cells)
        return replace(grown, is_global=grown.is_global or self.is_global)


def fcn_head(in_channels: int, num_classes: int) -> Head:
    """A 3x3 convolution to a quarter of the channels, dropout, and the classes; torchvision's FCNHead."""
    channels = in_channels // 4
    final = nn.Conv2d(channels, num_classes, 1)
    return Head(*conv_norm_relu(in_channels, channels, 3), nn.Dropout(0.1), final, cells=3)


class OneHead(DenseNetwork):
    """A backbone and a head on its last stage.

    Args:
        backbone: Gives the features.
        classifier: For the channels of its last stage.
        num_classes: Number of labels.
    """

    def __init__(self, backbone: Backbone, classifier: Head, *, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.num_classes = num_classes
        self.normalization = backbone.normalization
        self.geometry = classifier.geometry(backbone.stages[-1])

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        """Logits at the cells of the last stage."""
        return self.classifier(self.backbone(images)[-1])

    def class_layers(self) -> Sequence[str]:
        """The last."""
        return tuple(f"classifier.{path}." for path in self.classifier.class_layers)

    def new_layers(self) -> Sequence[str]:
        """The head."""
        return ("classifier.",)


class TwoHeads(AuxiliaryNetwork):
    """A backbone, a head on its last stage, and an auxiliary one on a stage before; names as torchvision's.

    Args:
        backbone: Gives the features.
        classifier: For the channels of its last stage.
        aux_classifier: For the channels of the stage before.
        num_classes: Number of labels.
        auxiliary_stage: Where the auxiliary head sits.
    """

    def __init__(
        self,
        backbone: Backbone,
        classifier: Head,
        aux_classifier: Head,
        *,
        num_classes: int,
        auxiliary_stage: int = -2,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.aux_classifier = aux_classifier
        self.num_classes = num_classes
        self.auxiliary_stage = auxiliary_stage
        self.normalization = backbone.normalization
        self.geometry = classifier.geometry(backbone.stages[-1])

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k y x"]:
        """Logits at the cells of the last stage."""
        return self.classifier(self.backbone(images)[-1])

    def forward_with_auxiliary(
        self, images: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b k y x"], Float[Tensor, "b k Y X"]]:
        """The logits, and those of the auxiliary head at the cells of its stage."""
        features = self.backbone(images)
        return self.classifier(features[-1]), self.aux_classifier(features[self.auxiliary_stage])

    @property
    def auxiliary_geometry(self) -> LogitGeometry:
        """Where the auxiliary logits lie."""
        return self.aux_classifier.geometry(self.backbone.stages[self.auxiliary_stage])

    def auxiliary_layers(self) -> Sequence[str]:
        """The second head."""
        return ("aux_classifier.",)

    def class_layers(self) -> Sequence[str]:
        """The last of both heads."""
        return (
            *(f"classifier.{path}." for path in self.classifier.class_layers),
            *(f"aux_classifier.{path}." for path in self.aux_classifier.class_layers),
        )

    def new_layers(self) -> Sequence[str]:
        """Both heads."""
        return ("classifier.", "aux_classifier.")
