"""One file that carries all prediction needs: safetensors with a JSON header, no code in it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from atrous.errors import CheckpointError
from atrous.files import write_atomically

FORMAT_VERSION = 2  # 1 had no CRF
BUNDLED = {"street": Path(__file__).parent / "bundled" / "street.safetensors"}
"""Trained networks that come with the package: name, file; their licence and card lie beside them."""
HEADER = "atrous"
NUMBERS = frozenset(
    {torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool}
    | {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
)
"""Types of tensors that are read from a file: those that torch computes with everywhere."""

_CRF = "crf."  # what the names of a learned CRF's tensors begin with
_WAYS_OUT = {
    ".caffemodel": "bring it into one with atrous import caffe",
    ".h5": "bring it into one with atrous import keras",
    ".onnx": "only predict and evaluate read exported files; give the checkpoint that it was made of",
    ".xml": "only predict and evaluate read exported files; give the checkpoint that it was made of",
    ".bin": "give the .xml beside it, if it is of OpenVINO",
    ".pt2": "torch.export.load reads it; give the checkpoint that it was made of",
    ".pth": "bring VGG-16 into one with atrous import torchvision",
}
_FIELDS = {
    "network": str,
    "arguments": dict,
    "labels": dict,
    "normalization": dict,
    "progress": dict,
    "crf": dict,
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network's weights and what they mean.

    Attributes:
        network: Name in the catalog.
        arguments: What `build_network` was called with, without the name.
        labels: `LabelSet.to_dict()`: names and palette; or `Quantity.to_dict()`: what is measured, its unit.
        normalization: `Normalization.to_dict()`.
        progress: How it was trained: stage, steps, scores, versions; anything that JSON can say.
        tensors: State dict of the network.
        crf: Settings of a CRF that refines the network's scores, see `atrous.crf.stored`; empty without one.
        crf_tensors: State dict of a learned one.
    """

    network: str
    arguments: dict[str, Any]
    labels: dict[str, Any]
    normalization: dict[str, Any]
    tensors: dict[str, Tensor]
    progress: dict[str, Any] = field(default_factory=dict)
    crf: dict[str, Any] = field(default_factory=dict)
    crf_tensors: dict[str, Tensor] = field(default_factory=dict)


def checkpoint_file(path: Path) -> Path:
    """The file of a bundled network where its name is given; else the path, as of any other checkpoint.

    A file of just that name must be given with its folder.
    """
    return BUNDLED.get(str(path), path)


def is_bundled(path: Path) -> bool:
    """Whether a checkpoint is one that comes with the package, by its name."""
    return str(path) in BUNDLED


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically: a full disk or a kill leaves what was there before.

    Raises:
        OutputError: If the file cannot be written.
    """
    header = {
        "format_version": FORMAT_VERSION,
        "network": checkpoint.network,
        "arguments": checkpoint.arguments,
        "labels": checkpoint.labels,
        "normalization": checkpoint.normalization,
        "progress": checkpoint.progress,
        "crf": checkpoint.crf,
    }
    learned = {f"{_CRF}{name}": value for name, value in checkpoint.crf_tensors.items()}
    save_tensors(path, {**checkpoint.tensors, **learned}, header)


def load_checkpoint(path: Path, *, device: str = "cpu") -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote, or the bundled one of that name.

    Raises:
        CheckpointError: If the file is missing, cut short, of another kind, or from a newer version.
    """
    tensors, header = load_tensors(path, device=device)
    version = header.get("format_version")
    if not isinstance(version, int):
        raise CheckpointError(
            f"{path} holds no atrous checkpoint; give the model.safetensors that `atrous train` writes"
        )
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has checkpoint format {version}, this atrous reads {FORMAT_VERSION}; upgrade atrous"
        )
    header = {"crf": {}, **header}  # format 1
    for name, kind in _FIELDS.items():
        if not isinstance(header.get(name), kind):
            raise CheckpointError(
                f"{path} has no {name} in its header that atrous could have written; make it anew"
            )
    learned = {name.removeprefix(_CRF): value for name, value in tensors.items() if name.startswith(_CRF)}
    return Checkpoint(
        tensors={name: value for name, value in tensors.items() if not name.startswith(_CRF)},
        crf_tensors=learned,
        **{name: header[name] for name in _FIELDS},
    )


def save_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors and a JSON header into one safetensors file, atomically.

    Raises:
        OutputError: If the file cannot be written.
    """
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    metadata = {HEADER: json.dumps(header)}
    write_atomically(path, lambda temporary: save_file(contiguous, temporary, metadata=metadata))


def load_tensors(path: Path, *, device: str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and JSON header (empty where there is none) of a safetensors file.

    Raises:
        CheckpointError: If the file is missing, cut short, or no safetensors.
    """
    with _opened(path, device=device) as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no iterator)
        if odd := [name for name, tensor in tensors.items() if tensor.dtype not in NUMBERS]:
            raise CheckpointError(f"{path} holds {odd[0]} as {tensors[odd[0]].dtype}; store it as float32")
        return tensors, _header(opened, path)


def load_header(path: Path) -> dict[str, Any]:
    """The JSON header alone (empty where there is none), whatever the size of the tensors.

    Raises:
        CheckpointError: As `load_tensors`.
    """
    with _opened(path, device="cpu") as opened:
        return _header(opened, path)


@contextmanager
def _opened(path: Path, *, device: str) -> Iterator[Any]:
    path = checkpoint_file(path)
    if not path.is_file():
        known = ", ".join(BUNDLED)
        raise CheckpointError(
            f"no checkpoint at {path}; give the path of a .safetensors file, or a bundled one: {known}"
        )
    try:
        with safe_open(path, framework="pt", device=device) as opened:
            yield opened
    except CheckpointError:
        raise
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        way_out = _WAYS_OUT.get(path.suffix, "give a file that atrous wrote")
        raise CheckpointError(f"{path} is cut short or no safetensors file ({error}); {way_out}") from error


def _header(opened: Any, path: Path) -> dict[str, Any]:
    header = json.loads((opened.metadata() or {}).get(HEADER, "{}"))
    if not isinstance(header, dict):
        raise CheckpointError(f"{path} has a header that is no table; it was not written by atrous")
    return header
