"""What a file claims of its network, held against its tensors, before anything is made as large as that."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from atrous.checkpoint import Checkpoint
from atrous.errors import CheckpointError, ConfigError
from atrous.models.companding import Companding
from atrous.models.contract import AnyNormalization, DenseNetwork, Normalization
from atrous.models.foreign import is_foreign
from atrous.models.window import Window

FEW = 64  # classes or channels, which cost nothing


def fitting_network(
    checkpoint: Checkpoint, build: Callable[..., DenseNetwork], *, source: str
) -> DenseNetwork:
    """The network, without its weights, that a checkpoint describes and has the tensors of.

    It is made on the meta device first, where it takes no memory, and compared with the tensors.

    Args:
        checkpoint: What is claimed.
        build: Makes the network of its name and arguments.
        source: Names the file in messages.

    Raises:
        CheckpointError: If it cannot be made, or the tensors are not its own.
    """
    arguments = checkpoint.arguments
    try:
        if is_foreign(str(arguments.get("backbone", ""))):  # surgery computes, which the meta device cannot
            _refuse_numbers(arguments, checkpoint.tensors)
        else:
            with torch.device("meta"):
                _refuse_misfits(build(checkpoint.network, **arguments), checkpoint, source)
        network = build(checkpoint.network, **arguments)
    except CheckpointError:
        raise
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:  # torch's own of odd numbers, too
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{source} describes a network that this atrous cannot build: {reason}"
        ) from error
    _refuse_misfits(network, checkpoint, source)
    return network


def _refuse_numbers(arguments: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Nothing, if no number of classes or channels is beyond the longest side of a tensor, as with backbones.

    Raises:
        ConfigError: If one is, so that it would ask for memory that the file does not fill.
    """
    longest = max((side for tensor in tensors.values() for side in tensor.shape), default=0)
    longest = max(longest, FEW)
    for name, value in arguments.items():
        if isinstance(value, int) and value > longest:
            raise ConfigError(f"{name} is {value}, and none of its tensors is as long")


def _refuse_misfits(network: DenseNetwork, checkpoint: Checkpoint, source: str) -> None:
    """Nothing, if the tensors of a checkpoint are those of a network, which may be on the meta device.

    Raises:
        CheckpointError: If a tensor is missing, too many, or of another shape; `source` names the file.
    """
    if misfits := network.misfits(checkpoint.tensors):
        raise CheckpointError(
            f'{source} holds no weights of a "{checkpoint.network}" with {network.num_classes} classes: '
            f"{len(misfits)} tensors are missing, too many, or of another shape, such as {misfits[0]}"
        )


def refuse_other_normalization(
    network: DenseNetwork, normalization: AnyNormalization, *, source: str
) -> None:
    """Nothing, if an input that is normalized so has the axes and channels of the network's.

    Raises:
        CheckpointError: If it has others; `source` names the file.
    """
    wanted = {1: Companding, 2: Normalization, 3: Window}[network.num_axes]
    levels = normalization.levels if isinstance(normalization, Companding) else 0
    if not isinstance(normalization, wanted) or levels > network.num_channels:
        raise CheckpointError(
            f"{source} normalizes by {normalization}, which gives no input of its network, "
            f"{network.num_channels} channels with {network.num_axes} axes; make it anew"
        )
