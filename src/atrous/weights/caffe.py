"""Weights from a .caffemodel, the binary NetParameter of Caffe's caffe.proto, without Caffe or protobuf."""

import math
import mmap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from atrous.errors import CheckpointError
from atrous.weights.protobuf_wire import FIXED32, FIXED64, Field, Values, WireReader, broken

_HDF5 = b"\x89HDF\r\n\x1a\n"
_MAX_AXES = 32  # Caffe's kMaxBlobAxes


class _LayerFormat(NamedTuple):
    """Numbers of the fields of a layer."""

    name: int
    blobs: int
    older: int | None = None  # a layer of the format before, wrapped


_LAYERS = {2: _LayerFormat(name=4, blobs=6, older=1), 100: _LayerFormat(name=1, blobs=7)}  # V1, current
_DIMS = (1, 2, 3, 4)  # of a blob: num, channels, height, width
_FLOATS, _SHAPE, _DOUBLES = 5, 7, 8
_DIM = 1  # of a shape


def read_caffemodel(path: Path) -> dict[str, tuple[Tensor, ...]]:
    """Blobs of every layer that has some, by the layer's name, float32, in the shapes that the file states.

    Both layer formats are read. As in Caffe's `Blob::FromProto`, the old four dims go before `shape`, a blob
    that states neither is a scalar, and double values go before float values; doubles are rounded to float32.
    Values that are not finite are kept. The tensors own their memory; beyond them, little is allocated.

    Raises:
        CheckpointError: If the file is missing, damaged, of another kind, or has no blobs or two layers of
            one name.
    """
    try:
        if not path.is_file():
            raise CheckpointError("no file there; give the path of a .caffemodel file")
        if not path.stat().st_size:
            raise CheckpointError("the file is empty; fetch the .caffemodel again")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _read_net(WireReader(content))
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); give a .caffemodel file that you may read"
        ) from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _read_net(wire: WireReader) -> dict[str, tuple[Tensor, ...]]:
    if wire.content[: len(_HDF5)] == _HDF5:
        raise CheckpointError(
            "a snapshot in HDF5; save it anew with `snapshot_format: BINARYPROTO` or with pycaffe's Net.save"
        )
    layers: dict[str, tuple[Tensor, ...]] = {}
    for field in wire.fields(wire.whole):
        if field.number in _LAYERS:
            name, blobs = _read_layer(wire, field, _LAYERS[field.number])
            if blobs and name in layers:
                raise broken(f"a second layer with weights is named {_short(name)}", at=field.start)
            if blobs:
                layers[name] = blobs
    if not layers:
        raise CheckpointError("no layer has weights; give the .caffemodel that Caffe wrote after training")
    return layers


def _read_layer(wire: WireReader, layer: Field, numbers: _LayerFormat) -> tuple[str, tuple[Tensor, ...]]:
    name, blobs = "", []
    for field in wire.fields(layer):
        if field.number == numbers.name:
            name = wire.text(field)
        elif field.number == numbers.blobs:
            blobs.append(field)
        elif field.number == numbers.older:
            raise CheckpointError(
                "the net is in Caffe's V0 format; upgrade it with Caffe's `upgrade_net_proto_binary OLD NEW`"
            )
    return name, tuple(_read_blob(wire, blob, f"blob {i} of {_short(name)}") for i, blob in enumerate(blobs))


def _read_blob(wire: WireReader, blob: Field, label: str) -> Tensor:
    fields = list(wire.fields(blob))
    shape = _read_shape(wire, fields)
    floats = [wire.values(field, kind=FIXED32) for field in fields if field.number == _FLOATS]
    doubles = [wire.values(field, kind=FIXED64) for field in fields if field.number == _DOUBLES]
    runs, dtype = (doubles, "<f8") if any(run.size for run in doubles) else (floats, "<f4")
    num_values = sum(run.size for run in runs)
    if len(shape) > _MAX_AXES or min(shape, default=1) < 1 or math.prod(shape) != num_values:
        stated = f"shape {shape}" if len(shape) <= _MAX_AXES else f"{len(shape)} axes"
        stated = stated if shape else "no shape"
        raise broken(f"{label} states {stated} and has {num_values} values", at=blob.start)
    tensor = torch.empty(shape, dtype=torch.float32, device="cpu")
    _gather(wire.content, runs, dtype, into=tensor.view(-1).numpy())
    return tensor


def _read_shape(wire: WireReader, fields: list[Field]) -> tuple[int, ...]:
    dims = {field.number: wire.integer(field) for field in fields if field.number in _DIMS}
    if dims:
        return tuple(dims.get(number, 0) for number in _DIMS)
    inner = [entry for field in fields if field.number == _SHAPE for entry in wire.fields(field)]
    return tuple(size for entry in inner if entry.number == _DIM for size in wire.integers(entry))


def _gather(content: mmap.mmap, runs: list[Values], dtype: str, *, into: Float32[np.ndarray, " n"]) -> None:
    """Copy the numbers out of the file, the only time that they are copied."""
    first = 0
    with np.errstate(over="ignore", invalid="ignore"):  # doubles that float32 cannot hold become infinite
        for run in runs:
            stop = first + run.size
            into[first:stop] = np.ndarray((run.size,), dtype, content, run.start, (run.step,))
            first = stop


def _short(name: str) -> str:
    return repr(name if len(name) < 60 else f"{name[:60]}...")
