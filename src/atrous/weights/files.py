"""State dicts from files of other programs, read without running code."""

import pickle
import struct
from pathlib import Path

import torch
from torch import Tensor

from atrous.checkpoint import load_tensors
from atrous.errors import CheckpointError

# What torch's reader trips over in files that are cut short or no weights: whatever their bytes make it do.
_UNREADABLE = (
    OSError, EOFError, RuntimeError, AssertionError, LookupError, TypeError, ValueError, AttributeError,
    pickle.UnpicklingError, struct.error,
)  # fmt: skip


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
    except _UNREADABLE as error:
        raise CheckpointError(
            f"{path} is broken or holds more than tensors, which is not read; save `model.state_dict()` anew"
        ) from error
    named = isinstance(content, dict) and all(isinstance(name, str) for name in content)
    if not named or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path} holds no state dict (names to tensors); save `model.state_dict()`")
    return content
