"""State dicts of torchvision, by the names of the catalog's networks."""

from collections.abc import Mapping

import torch
from torch import Tensor

from atrous.errors import CheckpointError
from atrous.models.catalog import build_network
from atrous.models.contract import DenseNetwork
from atrous.models.vgg_weights import by_vgg_names, from_torchvision

SEGMENTATION = "backbone."  # its networks' names are ours
CLASSES = {
    "layer1.0.conv1.weight": "fc.",
    "features.0.0.weight": "classifier.",
}  # a classifier's, by a mark of it
_HEADS = ("classifier.", "aux_classifier.")


def is_torchvision(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a ResNet, a MobileNet, or a segmentation network of torchvision."""
    return any(mark in tensors for mark in CLASSES) or any(name.startswith(SEGMENTATION) for name in tensors)


def to_atrous(state_dict: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """What a network of the catalog can load of a torchvision state dict, by its own names.

    VGG-16 starts whatever has its layers, with the normalization folded in (BGR minus a mean); a ResNet or a
    MobileNet every network on that backbone; FCN and DeepLab v3, heads included, the networks of their names.

    Args:
        state_dict: `network.state_dict()` of torchvision's network.
        name: A key of the catalog.

    Raises:
        CheckpointError: If the state dict is of another network.
        ConfigError: If there is no such network in the catalog.
    """
    final = state_dict.get("classifier.4.weight") if is_segmentation(state_dict) else None
    with torch.device("meta"):
        network = build_network(name, num_classes=None if final is None else len(final))
    if "features.0.weight" in state_dict:
        found, _ = by_vgg_names(from_torchvision(state_dict).fitted.tensors, network)
    else:
        found = by_own_names(state_dict, network)
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    wrong = [key for key, value in found.items() if shapes.get(key) != value.shape]
    if wrong or not found:
        raise CheckpointError(
            f'the state dict is not of what "{name}" stands on: {wrong[0] if wrong else "no tensor"} has no '
            "place in it or another shape; give that of its own backbone"
        )
    return found


def is_segmentation(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a backbone and heads are named."""
    return any(name.startswith(SEGMENTATION) for name in tensors)


def by_own_names(tensors: Mapping[str, Tensor], network: DenseNetwork) -> dict[str, Tensor]:
    """The tensors by the network's names: a classifier's under its backbone, without the classes.

    Args:
        tensors: As `is_torchvision` knows them.
        network: Whose backbone it is; heads that it has not are left out.
    """
    own = network.state_dict().keys()
    if is_segmentation(tensors):
        absent = tuple(head for head in _HEADS if not any(name.startswith(head) for name in own))
        return {name: value for name, value in tensors.items() if not name.startswith(absent)}
    classes = next(prefix for mark, prefix in CLASSES.items() if mark in tensors)
    body = {name: value for name, value in tensors.items() if not name.startswith(classes)}
    surgery = {f"backbone.dense.network.{name}": value for name, value in body.items()}
    if any(name in own for name in surgery):
        return surgery
    named = {f"backbone.{name.removeprefix('features.')}": value for name, value in body.items()}
    return {name: value for name, value in named.items() if not name.startswith(_BEYOND) or name in own}


_BEYOND = "backbone.18."  # MobileNetV2's last convolution, which its backbone leaves out
