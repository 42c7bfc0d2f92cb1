"""State dicts of torchvision, by the names of the catalog's networks."""

from collections.abc import Mapping

import torch
from torch import Tensor

from atrous.data.labels import MAX_CLASSES, LabelSet
from atrous.data.voc import VOC_LABELS
from atrous.errors import CheckpointError
from atrous.models.catalog import CATALOG, build_network
from atrous.models.contract import DenseNetwork
from atrous.models.imported import Imported
from atrous.models.vgg_weights import by_vgg_names, from_torchvision
from atrous.weights.fit import fit

SEGMENTATION = ("backbone.layer1.0.conv1.weight", "backbone.0.0.weight")  # marks; its names are ours
CLASSES = {
    "layer1.0.conv1.weight": "fc.",
    "features.0.0.weight": "classifier.",
}  # a classifier's, by a mark of it
_HEADS = ("classifier.", "aux_classifier.")
_FINAL = "classifier.4.weight"
_BACKBONE_MARKS = {  # deepest first
    "backbone.layer3.22.conv1.weight": "resnet101",
    "backbone.layer3.5.conv3.weight": "resnet50",
    "backbone.16.0.weight": "mobilenet_v3_large",
}


def is_torchvision(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a ResNet, a MobileNet, or a segmentation network of torchvision."""
    return any(mark in tensors for mark in (*CLASSES, *SEGMENTATION))


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
    final = state_dict.get(_FINAL) if is_segmentation(state_dict) else None
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


def recognize(tensors: Mapping[str, Tensor], *, source: str) -> str:
    """The name in the catalog of the segmentation network that a state dict of torchvision holds.

    Raises:
        CheckpointError: If it holds none that the catalog has.
    """
    head = "deeplab_v3" if any(name.startswith("classifier.0.convs.") for name in tensors) else "fcn"
    for mark, backbone in _BACKBONE_MARKS.items():
        if mark in tensors and (name := f"{head}_{backbone}") in CATALOG:
            return name
    raise CheckpointError(
        f"{source} holds neither VGG-16 nor an FCN or DeepLab v3 of torchvision; a classifier's state dict "
        "starts a training as it is: give it to --init"
    )


def import_segmentation(tensors: Mapping[str, Tensor], *, source: str) -> Imported:
    """The network that a state dict of torchvision's FCN or DeepLab v3 holds.

    Args:
        tensors: With its last layer, whose channels are the classes; an auxiliary head that is missing is
            fresh.
        source: Names the file in messages.

    Raises:
        CheckpointError: As `recognize`.
    """
    name = recognize(tensors, source=source)
    final = tensors.get(_FINAL)
    if final is None or final.ndim != 4 or not 1 <= len(final) <= MAX_CLASSES:
        shape = "is missing" if final is None else f"is {tuple(final.shape)}"
        raise CheckpointError(
            f"{_FINAL} of {source} {shape}; it is (classes, channels, 1, 1), with 1 to {MAX_CLASSES} classes"
        )
    network = build_network(name, num_classes=len(final))
    wanted = {key: value.shape for key, value in network.state_dict().items()}
    if not any(key.startswith("aux_classifier.") for key in tensors):
        wanted = {key: shape for key, shape in wanted.items() if not key.startswith("aux_classifier.")}
    fitted = fit(tensors, names={key: key for key in wanted}, shapes=wanted)
    network.load_state_dict(fitted.tensors, strict=False)
    is_voc = len(final) == VOC_LABELS.num_classes  # of torchvision's weights, COCO_WITH_VOC_LABELS_V1
    label_set = VOC_LABELS if is_voc else LabelSet.unnamed(len(final))
    return Imported(name, network.eval(), label_set, fitted)


def is_segmentation(tensors: Mapping[str, Tensor]) -> bool:
    """Whether it is a ResNet or a MobileNet as the backbone of something."""
    return any(mark in tensors for mark in SEGMENTATION)


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
