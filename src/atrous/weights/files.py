"""State dicts from files of other programs, read without running code."""

import pickle
from pathlib import Path

import torch
from torch import Tensor

from atrous.checkpoint import load_tensors
from atrous.errors import CheckpointError


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Names to float32 tensors, from .safetensors, or .pth and .pt through `weights_only=True`.

    Raises:
        CheckpointError: If the file is missing, broken, or holds anything but tensors.
    """
    if path.suffix == ".safetensors":
        tensors = load_tensors(path)[0]
    else:
        tensors = _read_torch(path)
    return {name: tensor.float() for name, tensor in tensors.items()}


def _read_torch(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"no weights at {path}; give the path of a .safetensors or .pth file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} cannot be read as plain tensors: {reason}") from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path} holds no state dict (names to tensors); save `model.state_dict()`")
    return content
