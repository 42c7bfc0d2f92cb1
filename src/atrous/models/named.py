"""A network by its name on the command line: of the catalog, torchvision, timm, your own, or a checkpoint."""

import importlib
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from atrous.config import suggestion
from atrous.errors import CheckpointError, ConfigError
from atrous.models.catalog import CATALOG, build_network, load_network
from atrous.models.contract import DenseNetwork
from atrous.models.foreign import foreign_network, is_foreign
from atrous.weights.files import read_weights

EXPORTED = (".onnx", ".xml", ".bin", ".pt2")
CHECKPOINTS = (".safetensors", ".pt", ".pth", ".ckpt")
SIDES = {1: 16000, 2: 224, 3: 64}  # cells along each axis of the example, where nobody says more
DENSE_SIDE = 512  # px of a photo, for the networks of the catalog
KINDS = "a name of the catalog, a checkpoint, package.module:callable, torchvision:NAME or timm:NAME"


def named_network(
    name: str, *, backbone: str = "", pretrained: bool = False, weights: Path | None = None
) -> nn.Module:
    """The network that a name stands for, in evaluation mode.

    Args:
        name: A key of the catalog, the path of a checkpoint, `package.module:callable` (called without
            arguments; it returns a module), `torchvision:NAME` or `timm:NAME`.
        backbone: What a network of the catalog stands on, where there is a choice; its own unless given.
        pretrained: Let torchvision or timm load the weights that they name their default.
        weights: State dict of the network, safetensors or a `.pth` of tensors only.

    Raises:
        ConfigError: If there is no such network, or its package is missing.
        CheckpointError: If the weights do not fit.
    """
    source, colon, key = name.partition(":")
    if pretrained and not is_foreign(name):
        raise ConfigError(f'"{name}" has no pretrained weights to fetch; give torchvision:NAME or timm:NAME')
    if backbone and (colon or name.endswith(CHECKPOINTS)):
        raise ConfigError(f'"{name}" has its backbone; leave backbone out, or give a name of the catalog')
    if name.endswith(CHECKPOINTS):
        network: nn.Module = load_network(name)
    elif not colon:
        if name.endswith(EXPORTED):
            raise ConfigError(f"{name} is an exported file; give the checkpoint that it was made of")
        if name not in CATALOG:
            raise ConfigError(f'"{name}" is no network; {suggestion(name, CATALOG)}; or give {KINDS}')
        network = build_network(name, backbone=backbone)
    elif is_foreign(name):
        network = foreign_network(name, pretrained=pretrained)
    else:
        network = _own(source, key)
    if weights is not None:
        _load(network, weights)
    return network.eval()


def weightless_network(name: str, *, backbone: str = "") -> nn.Module:
    """The network that a name stands for without its weights where that can be: for its geometry alone.

    Args:
        name: As `named_network`.
        backbone: As `named_network`.

    Raises:
        ConfigError: As `named_network`.
        CheckpointError: As `named_network`.
    """
    if name.endswith(CHECKPOINTS):
        return named_network(name, backbone=backbone)
    try:
        with torch.device("meta"):
            return named_network(name, backbone=backbone)
    except (NotImplementedError, RuntimeError):  # its constructor computes with values
        return named_network(name, backbone=backbone)


def example_of(network: nn.Module, size: tuple[int, ...] = ()) -> Tensor:
    """An input (1, c, *spatial) that a network takes, where its weights are; zeros.

    Raises:
        ConfigError: As `input_shape`.
    """
    weight = next(network.parameters(), None)
    device = "cpu" if weight is None else weight.device
    return torch.zeros(input_shape(network, size), device=device)


def input_shape(network: nn.Module, size: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The shape (1, c, *spatial) of an example that a network takes.

    Args:
        network: Its first convolution says how many channels and axes the input has.
        size: Cells along each axis; one number stands for all; empty takes what suits the network.

    Raises:
        ConfigError: If the numbers do not fit its axes.
    """
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    first = next((layer for layer in network.modules() if isinstance(layer, kinds)), None)
    channels, rank = (first.in_channels, len(first.kernel_size)) if first else (3, len(size) or 2)
    if isinstance(network, DenseNetwork):
        channels = network.num_channels
    if min(size, default=1) < 1 or len(size) not in (0, 1, rank):
        raise ConfigError(f"input size {size} does not fit {rank} axes; give {rank} positive numbers, or one")
    return (1, channels, *(size * (rank // len(size)) if size else _usual_size(network, rank)))


def _usual_size(network: nn.Module, rank: int) -> tuple[int, ...]:
    if isinstance(network, DenseNetwork) and rank == 2:
        return (DENSE_SIDE + 2 * network.margin,) * rank
    card: Any = getattr(network, "pretrained_cfg", None)  # timm's description of a network
    if isinstance(card, dict) and len(card.get("input_size", ())) == rank + 1:
        return tuple(card["input_size"][1:])
    return (299 if type(network).__name__ == "Inception3" else SIDES[rank],) * rank


def _own(module_name: str, attribute: str) -> nn.Module:
    """What a function of the user's own code makes; the working directory is looked in first."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        build = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise ConfigError(f'"{module_name}:{attribute}" cannot be imported: {error}; give {KINDS}') from error
    try:
        network = build if isinstance(build, nn.Module) else build()
    except Exception as error:  # it is the user's own code
        reason = " ".join(str(error).split())
        raise ConfigError(
            f'"{module_name}:{attribute}" failed with {type(error).__name__}: {reason}; give a function that '
            "takes no arguments and returns a torch.nn.Module"
        ) from error
    if not isinstance(network, nn.Module):
        raise ConfigError(
            f'"{module_name}:{attribute}" gives a {type(network).__name__}; let it return a torch.nn.Module'
        )
    return network


def _load(network: nn.Module, path: Path) -> None:
    """Put a state dict into a network.

    Raises:
        CheckpointError: If the file cannot be read or does not fit.
    """
    tensors = read_weights(path)
    own = network.state_dict()
    if misfits := [key for key in {**own, **tensors} if key not in own or key not in tensors]:
        raise CheckpointError(
            f"{path} does not fit {type(network).__name__}: {len(misfits)} names are missing or too many, "
            f"such as {misfits[0]}"
        )
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit: {' '.join(str(error).split())[:300]}") from error
