"""State dicts that others published, by the names of the catalog's networks."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from atrous.models import drn, efficientnet_lite
from atrous.models.contract import DenseNetwork, Normalization
from atrous.models.resnet import IMAGENET_RGB
from atrous.models.torchvision_names import by_own_names, is_segmentation, is_torchvision


@dataclass(frozen=True, slots=True)
class Published:
    """Foreign weights under a network's own names.

    Attributes:
        tensors: What of them the network has a place for.
        normalization: How they want their pixels.
        is_classifier: Whether they have no head for a dense network.
    """

    tensors: dict[str, Tensor]
    normalization: Normalization
    is_classifier: bool


def by_published_names(tensors: Mapping[str, Tensor], network: DenseNetwork) -> Published | None:
    """Weights of torchvision, of DRN's authors or of EfficientNet-Lite0's package; None of any others.

    Args:
        tensors: As published.
        network: Without a context module.
    """
    if isinstance(network, drn.DRN) and drn.is_authors(tensors):
        return Published(drn.from_authors(tensors, network), IMAGENET_RGB, is_classifier=False)
    if efficientnet_lite.is_packaged(tensors):
        named = {f"backbone.{k}": v for k, v in efficientnet_lite.from_package(tensors).items()}
        return Published(named, efficientnet_lite.NORMALIZATION, is_classifier=True)
    if is_torchvision(tensors):
        named = by_own_names(tensors, network)
        return Published(named, IMAGENET_RGB, is_classifier=not is_segmentation(tensors))
    return None
