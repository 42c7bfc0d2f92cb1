"""Any classifier as a backbone: surgery makes it dense, its last map is the one stage."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.models.backbone import Backbone, Stage
from atrous.models.dilated_classifier import DilatedClassifier
from atrous.surgery.plan import plan_surgery

SIDE = 129  # px of the example that the surgery is planned on


class ClassifierBackbone(Backbone):
    """A classifier at another output stride, without its pooling and its classes.

    Its weights keep their names under `dense.network.`.

    Args:
        classifier: Of torchvision, timm or your own; it is not changed.
        output_stride: Of its last map.

    Raises:
        SurgeryError: If it cannot be made dense.
        ConfigError: If its map has another number of axes, or strides that differ.
    """

    def __init__(self, classifier: nn.Module, *, output_stride: int) -> None:
        super().__init__()
        weight = next(classifier.parameters())
        example = torch.zeros(1, 3, SIDE, SIDE, device=weight.device, dtype=weight.dtype)
        surgery = plan_surgery(
            classifier, example, output_stride=output_stride, pools="keep", head="features"
        )
        self.dense = DilatedClassifier(surgery.apply(classifier), (SIDE, SIDE))
        self.normalization = self.dense.normalization
        self.stages = (Stage(self.dense.num_classes, self.dense.geometry),)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b _c _y _x"], ...]:
        """Features (b, channels, ceil(h / stride), ceil(w / stride)), as the only stage."""
        return (self.dense(images),)
