"""Starting weights for a network: ImageNet's convolutions, or a checkpoint of it or of its front end."""

from pathlib import Path

from torch import Tensor

from atrous.checkpoint import load_checkpoint, load_tensors
from atrous.errors import CheckpointError
from atrous.models.contract import IMAGENET_BGR, DenseNetwork, Normalization
from atrous.models.dilated_net import DilatedNet
from atrous.models.frontend import FrontEnd
from atrous.models.vgg import TORCHVISION_FEATURES
from atrous.weights.files import read_state_dict

# torchvision's preprocessing is (x / 255 - mean) / std; here on 0-255.
TORCHVISION_RGB = Normalization(
    (0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255), "RGB"
)


def initialize_(network: DenseNetwork, path: Path) -> tuple[str, ...]:
    """Load starting weights into a network, in place.

    Takes an atrous checkpoint of the same network or of its front end, VGG-16's convolutions by their Caffe
    names (BGR, 0-255 minus mean), or a state dict with torchvision's names for vgg16 (RGB; the network's
    normalization becomes torchvision's, which keeps the function exactly).

    Returns:
        Names of the parameters that were loaded; all others keep their fresh values.

    Raises:
        CheckpointError: If the file is broken or fits neither the network nor its front end.
    """
    front_end = network.front_end if isinstance(network, DilatedNet) else network
    prefix = "" if front_end is network else "front_end."
    tensors, normalization = _read(path)
    if not network.misfits(tensors):
        loaded = tensors
    elif not front_end.misfits(tensors):
        loaded = {f"{prefix}{name}": value for name, value in tensors.items()}
    elif isinstance(front_end, FrontEnd) and (convolutions := _vgg_convolutions(front_end, tensors)):
        loaded = {f"{prefix}{name}": value for name, value in convolutions.items()}
        normalization = TORCHVISION_RGB if "features.0.weight" in tensors else IMAGENET_BGR
    else:
        raise CheckpointError(
            f"{path} fits neither the network nor its front end; give a checkpoint of one of them with the "
            "same number of classes, or, for a VGG-16 front end, all 13 of its convolutions"
        )
    network.load_state_dict(loaded, strict=False)
    if normalization is not None:
        network.use_normalization_(normalization)
    return tuple(loaded)


def _read(path: Path) -> tuple[dict[str, Tensor], Normalization | None]:
    """Tensors of the file, and the normalization where it is a checkpoint of atrous."""
    if path.suffix != ".safetensors" or not load_tensors(path)[1]:
        return read_state_dict(path), None
    checkpoint = load_checkpoint(path)
    return checkpoint.tensors, Normalization.from_dict(checkpoint.normalization)


def _vgg_convolutions(front_end: FrontEnd, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """VGG-16's 13 convolutions under the front end's names; empty where one is missing or misshapen."""
    own = front_end.state_dict()
    found: dict[str, Tensor] = {}
    for layer, index in TORCHVISION_FEATURES.items():
        for kind in ("weight", "bias"):
            value = tensors.get(f"{layer}.{kind}", tensors.get(f"features.{index}.{kind}"))
            name = f"layers.{layer}.{kind}"
            if value is None or value.shape != own[name].shape:
                return {}
            found[name] = value
    return found
