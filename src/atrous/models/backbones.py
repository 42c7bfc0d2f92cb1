"""Backbones by name: our own, or any classifier of torchvision or timm made dense by surgery."""

from collections.abc import Callable

from atrous.config import suggestion
from atrous.errors import ConfigError
from atrous.models.backbone import Backbone
from atrous.models.classifier_backbone import ClassifierBackbone
from atrous.models.efficientnet_lite import efficientnet_lite0_backbone
from atrous.models.foreign import foreign_network, is_foreign
from atrous.models.mobilenet_v2 import mobilenet_v2
from atrous.models.mobilenet_v3 import mobilenet_v3_large
from atrous.models.resnet import RESNETS
from atrous.models.vgg import vgg16

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "vgg16": vgg16,
    **RESNETS,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": mobilenet_v3_large,
    "efficientnet_lite0": efficientnet_lite0_backbone,
}


def build_backbone(name: str, *, output_stride: int) -> Backbone:
    """A backbone with fresh weights.

    Args:
        name: A key of `BACKBONES`, `torchvision:NAME` or `timm:NAME`.
        output_stride: Of its last stage.

    Raises:
        ConfigError: If there is no such backbone, or it has no such output stride.
        SurgeryError: If a classifier of torchvision or timm cannot be made dense.
    """
    if is_foreign(name):
        return ClassifierBackbone(foreign_network(name), output_stride=output_stride)
    if name not in BACKBONES:
        raise ConfigError(
            f'no backbone "{name}"; {suggestion(name, BACKBONES)} (or give torchvision:NAME or timm:NAME)'
        )
    return BACKBONES[name](output_stride=output_stride)
