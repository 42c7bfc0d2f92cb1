"""State dicts from files of other programs, read without running code."""

import pickle
import struct
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from atrous.checkpoint import NUMBERS, load_tensors
from atrous.errors import CheckpointError

# What torch's reader trips over in files that are cut short or no weights: whatever their bytes make it do.
_UNREADABLE = (
    OSError, EOFError, RuntimeError, AssertionError, LookupError, TypeError, ValueError, AttributeError,
    ArithmeticError, ImportError, MemoryError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile,
)  # fmt: skip

_MOST_SHARED = 4  # times that the numbers of a file may be there, on average, as tied weights are twice


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Names to float32 tensors, as `read_weights` reads them.

    Raises:
        CheckpointError: If the file is missing, broken, or holds anything but tensors.
    """
    return {name: tensor.float() for name, tensor in read_weights(path).items()}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Names to tensors of numbers, from .safetensors, or .pth and .pt through `weights_only=True`.

    Raises:
        CheckpointError: If the file is missing, broken, or holds anything but tensors, or fewer numbers than
            they claim.
    """
    return load_tensors(path)[0] if path.suffix == ".safetensors" else _read_torch(path)


def _read_torch(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"no weights at {path}; give the path of a .safetensors or .pth file")
    try:
        _refuse_packed(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise CheckpointError(
            f"{path} is broken or holds more than tensors, which is not read; save `model.state_dict()` anew"
        ) from error
    named = isinstance(content, dict) and all(isinstance(name, str) for name in content)
    if not named or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path} holds no state dict (names to tensors); save `model.state_dict()`")
    most = path.stat().st_size
    for name, tensor in content.items():
        if not _is_plain(tensor, most=most):
            raise CheckpointError(
                f"{path} holds {name} in a form other than plain numbers of its own (sparse, quantized, "
                "repeated or missing); save `model.state_dict()` anew"
            )
    if sum(tensor.nbytes for tensor in content.values()) > _MOST_SHARED * most:
        raise CheckpointError(
            f"{path} holds the same numbers under many names; save `model.state_dict()` anew"
        )
    return {name: tensor.detach() for name, tensor in content.items()}


def _refuse_packed(path: Path) -> None:
    """Torch packs nothing, so that what its archives hold is no more than the file.

    Raises:
        ValueError: If this one would grow.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > path.stat().st_size:
                raise ValueError("it unpacks to more than it has")


def _is_plain(tensor: Tensor, *, most: int) -> bool:
    """Whether a tensor has all its numbers, each once, and these can lie in so many bytes."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_nested:
        return False
    size = tensor.numel() * tensor.element_size()
    return tensor.dtype in NUMBERS and size <= tensor.untyped_storage().nbytes() <= most
