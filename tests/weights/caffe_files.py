"""Caffemodels, written twice: by protobuf from a schema, and by hand, fast for big arrays.

Field numbers are those of src/caffe/proto/caffe.proto of BVLC Caffe.
"""

import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from torch import Tensor

from atrous.errors import CheckpointError
from atrous.weights.caffe import read_caffemodel

Version = Literal["current", "v1"]
Dims = Literal["shape", "legacy"]

_TYPES = descriptor_pb2.FieldDescriptorProto
_LEGACY = ("num", "channels", "height", "width")
_SCHEMA = {
    "BlobShape": [("dim", 1, "repeated int64")],
    "BlobProto": [
        *((name, number, "int32") for number, name in enumerate(_LEGACY, start=1)),
        ("data", 5, "repeated float"),
        ("shape", 7, "BlobShape"),
        ("double_data", 8, "repeated double"),
    ],
    "V0LayerParameter": [("name", 1, "string"), ("blobs", 50, "repeated BlobProto")],
    "V1LayerParameter": [
        ("layer", 1, "V0LayerParameter"),
        ("name", 4, "string"),
        ("blobs", 6, "repeated BlobProto"),
    ],
    "LayerParameter": [("name", 1, "string"), ("blobs", 7, "repeated BlobProto")],
    "NetParameter": [
        ("name", 1, "bytes"),  # a string there; as bytes, protobuf does not look into it either
        ("layers", 2, "repeated V1LayerParameter"),
        ("layer", 100, "repeated LayerParameter"),
    ],
    "SolverState": [("iter", 1, "int32"), ("learned_net", 2, "string"), ("history", 3, "repeated BlobProto")],
}


def messages(*, packed: bool = True) -> dict[str, Any]:
    """Message classes of caffe.proto, as far as weights need it, by name."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for message, fields in _SCHEMA.items():
        described = file.message_type.add(name=message)
        for name, number, kind in fields:
            *repeated, kind = kind.split()
            field = described.field.add(name=name, number=number)
            field.label = _TYPES.LABEL_REPEATED if repeated else _TYPES.LABEL_OPTIONAL
            if kind in _SCHEMA:
                field.type, field.type_name = _TYPES.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                field.type = _TYPES.Type.Value(f"TYPE_{kind.upper()}")
                if repeated:
                    field.options.packed = packed
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in _SCHEMA
    }


PACKED, UNPACKED = messages(packed=True), messages(packed=False)


def build_net(
    layers: Mapping[str, Sequence[np.ndarray]],
    *,
    version: Version = "current",
    dims: Dims = "shape",
    packed: bool = True,
    double: bool = False,
) -> Any:
    """A NetParameter of protobuf's, which serializes to what `write_caffemodel` writes."""
    net = (PACKED if packed else UNPACKED)["NetParameter"](name=b"net")
    for name, blobs in layers.items():
        layer = (net.layer if version == "current" else net.layers).add(name=name)
        for values in blobs:
            blob = layer.blobs.add()
            if dims == "legacy":
                for key, size in zip(_LEGACY, _legacy(values), strict=True):
                    setattr(blob, key, size)
            elif values.ndim:  # of a scalar, Caffe writes no shape
                blob.shape.dim.extend(values.shape)
            (blob.double_data if double else blob.data).extend(values.ravel().tolist())
    return net


def blobs_of(net: Any) -> dict[str, list[np.ndarray]]:
    """What Caffe's `Blob::FromProto` makes of the blobs of a net that protobuf has parsed."""
    return {
        layer.name: [_from_proto(blob) for blob in layer.blobs]
        for layer in [*net.layers, *net.layer]
        if layer.blobs
    }


def write_caffemodel(
    path: Path,
    layers: Mapping[str, Sequence[np.ndarray]],
    *,
    version: Version = "current",
    dims: Dims = "shape",
    packed: bool = True,
    double: bool = False,
) -> None:
    """Write blobs by their layer's name; legacy dims have four axes, ones in front."""
    number, name_number, blobs_number = (100, 1, 7) if version == "current" else (2, 4, 6)
    with path.open("wb") as file:
        file.write(delimited(1, b"net"))
        for name, blobs in layers.items():
            parts = _delimited(name_number, [name.encode()])
            for values in blobs:
                blob = _blob(values, dims=dims, packed=packed, double=double)
                parts += _delimited(blobs_number, blob)
            file.writelines(_delimited(number, parts))


def read_in_bounds(path: Path, content: bytes) -> dict[str, tuple[Tensor, ...]] | None:
    """The blobs of such a file, or None where one line refuses it; memory must not go far beyond its size."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        layers = read_caffemodel(path)
        assert sum(blob.nbytes for blobs in layers.values() for blob in blobs) <= len(content)
    except CheckpointError as error:
        layers = None
        message = str(error)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        assert len(message) < 1000
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2 * len(content) + 2**20
    return layers


def delimited(number: int, *content: bytes) -> bytes:
    """A field of bytes: a string, a message, or packed values."""
    return b"".join(_delimited(number, content))


def varint(value: int) -> bytes:
    """An integer as protobuf writes it: seven bits a byte, the lowest first."""
    value &= (1 << 64) - 1
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])


_Part = bytes | memoryview


def _delimited(number: int, content: Sequence[_Part]) -> list[_Part]:
    """The same in pieces, so that big arrays are not copied for every message around them."""
    return [varint(number << 3 | 2) + varint(sum(len(part) for part in content)), *content]


def _blob(values: np.ndarray, *, dims: Dims, packed: bool, double: bool) -> list[_Part]:
    number, kind, dtype = (8, 1, "<f8") if double else (5, 5, "<f4")
    flat = np.ascontiguousarray(values, dtype).reshape(-1)
    if packed:
        data = _delimited(number, [flat.view(np.uint8).data])
    else:
        records = np.empty(len(flat), [("tag", "u1"), ("value", dtype)])
        records["tag"], records["value"] = number << 3 | kind, flat
        data: list[_Part] = [records.view(np.uint8).data]
    if dims == "legacy":
        return [*(varint(8 * axis) + varint(size) for axis, size in enumerate(_legacy(values), 1)), *data]
    sizes = [varint(size) for size in values.shape]
    if packed and sizes:
        sizes = [delimited(1, *sizes)]
    else:
        sizes = [b"\x08" + size for size in sizes]
    shape = [delimited(7, *sizes)] if sizes else []
    return [*shape, *data] if double else [*data, *shape]


def _legacy(values: np.ndarray) -> tuple[int, ...]:
    return (1,) * (4 - values.ndim) + values.shape


def _from_proto(blob: Any) -> np.ndarray:
    if any(blob.HasField(key) for key in _LEGACY):
        shape = [getattr(blob, key) for key in _LEGACY]
    else:
        shape = list(blob.shape.dim)
    values = np.array(blob.double_data if len(blob.double_data) else blob.data, np.float64)
    with np.errstate(over="ignore"):
        return values.astype(np.float32).reshape(shape)
