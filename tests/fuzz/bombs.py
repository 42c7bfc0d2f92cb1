"""Small files that claim to be huge, or ask for endless work."""

import bz2
import gzip
import io
import json
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
import torch

from fuzz.array_formats import niftis
from fuzz.image_formats import png
from fuzz.network_formats import card, checkpoints, onnx_model, states, with_header

HUGE = 10**6


def bare_png(width: int, height: int) -> bytes:
    return png(
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b"")
    )


def long_text_png() -> bytes:
    """A PNG with a text that unpacks to 200 MB."""
    text = b"atrous\0\0" + _zeros(200_000_000)
    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return png((b"IHDR", head), (b"zTXt", text), (b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b""))


def _zeros(number: int) -> bytes:
    """So many zeros, packed by zlib."""
    packer = zlib.compressobj(1)
    parts = [packer.compress(bytes(1_000_000)) for _ in range(number // 1_000_000)]
    return b"".join([*parts, packer.flush()])


def nifti(
    *, sides: tuple[int, ...] | None = None, extension: int | None = None, packed: bool = False
) -> bytes:
    content = bytearray(niftis()[0])
    if sides is not None:
        struct.pack_into(f"<{len(sides)}h", content, 42, *sides)
    if extension is not None:
        struct.pack_into("<i", content, 352, extension)
        struct.pack_into("<f", content, 108, float(352 + extension))
    return gzip.compress(bytes(content), mtime=0) if packed else bytes(content)


def nifti_with_a_tail() -> bytes:
    """A small volume, and half a gigabyte of zeros behind it."""
    head = gzip.compress(niftis()[0], mtime=0)
    return head + gzip.compress(bytes(20_000_000), 6, mtime=0) * 25


def npy(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": dtype, "fortran_order": False, "shape": shape})
    return content.getvalue()


def nested_npy() -> bytes:
    """An array whose header is nested as deep as numpy looks."""
    header = b"(" * 9000
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def npz(member: bytes, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", kind) as archive:
        archive.writestr("logits.npy", member)
    return content.getvalue()


def npz_of_zeros() -> bytes:
    """Scores that unpack to 3 GiB out of 3 MB, by what the archive says of them."""
    shape = (3, 1 << 14, 1 << 14)
    member = npy(shape)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("logits.npy", member + bytes(1000))
    content = bytearray(packed.getvalue())
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.find(mark) + place, len(member) + 12 * (1 << 28))
    return bytes(content)


def npz_by_bzip2() -> bytes:
    assert bz2.compress(b"")
    return npz(npy((5_000_000,)) + bytes(20_000_000), zipfile.ZIP_BZIP2)


def wav(*, channels: int = 1, rate: int = 8000, frames: int = 100) -> bytes:
    data = bytes(2 * channels * frames)
    form = struct.pack("<HHIIHH", 1, channels, rate, (rate * channels * 2) % 2**32, channels * 2 % 2**16, 16)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


def flac_of_hours() -> bytes:
    """A FLAC whose header speaks of 2^36 - 1 samples."""
    from fuzz.array_formats import sounds

    content = bytearray(sounds(("FLAC", "PCM_16", 1))[0])
    (rates,) = struct.unpack_from(">Q", content, 18)
    struct.pack_into(">Q", content, 18, rates | ((1 << 36) - 1))
    return bytes(content)


def labelme(**changes: Any) -> bytes:
    shapes = [{"label": "cat", "shape_type": "polygon", "points": [[0, 0], [9, 0], [9, 9]]}]
    return json.dumps({"imageHeight": 8, "imageWidth": 10, "shapes": shapes, **changes}).encode()


def zigzag() -> bytes:
    """A polygon that goes up and down a narrow image, twenty thousand times."""
    points = [[0.5, 0.0], [0.5, 90_000.0]] * 10_000
    shapes = [{"label": "cat", "shape_type": "polygon", "points": points}]
    return labelme(imageHeight=90_000, imageWidth=1, shapes=shapes)


def coco(**changes: Any) -> bytes:
    image = {"id": 7, "file_name": "a.png", "height": 8, "width": 10, **changes}
    return json.dumps(
        {"images": [image], "categories": [{"id": 3, "name": "dog"}], "annotations": []}
    ).encode()


def checkpoint(place: int = 0, **changes: Any) -> bytes:
    """A checkpoint with other values in its header; `arguments__x` changes x of the arguments."""
    content = checkpoints()[place]
    (length,) = struct.unpack("<Q", content[:8])
    ours = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["atrous"])
    for name, value in changes.items():
        table, _, key = name.rpartition("__")
        (ours[table] if table else ours)[key] = value
    return with_header(content, json.dumps(ours))


def nested_checkpoint() -> bytes:
    return with_header(checkpoints()[0], "[" * 100_000)


def nested_state() -> bytes:
    return with_header(states()[0], '{"a":' * 100_000)


def pth(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def packed_pth() -> bytes:
    """A .pth of 80 MB of zeros, packed as torch never packs."""
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(pth({"w": torch.zeros(20_000_000)}))) as old,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    return made.getvalue()


def shared_pth() -> bytes:
    """The same half precision numbers under a thousand names."""
    values = torch.ones(100_000, dtype=torch.float16)
    return pth({f"w{number}": values for number in range(1000)})


def keras_of(shape: tuple[int, ...]) -> bytes:
    """A dataset that claims a shape and stores nothing."""
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("conv/kernel:0", shape, "<f4")
    return content.getvalue()


def wide_tiff() -> bytes:
    """A TIFF of a kilobyte that says it has 2^30 pixels a row, and stores none of them."""
    entries = [(256, 4, 1, 1 << 30), (257, 4, 1, 1 << 20), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 1 << 20), (279, 4, 1, 10)]
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + body + bytes(100)


def card_with(**changes: Any) -> bytes:
    return onnx_model(json.dumps({**card(), **changes})).SerializeToString()


def constant_onnx() -> bytes:
    """A graph that makes a tensor of 4 TB."""
    from onnx import TensorProto, helper

    model = onnx_model(json.dumps(card()))
    shape = helper.make_tensor("shape", TensorProto.INT64, [4], [1, 3, HUGE, HUGE // 3])
    model.graph.initializer.append(shape)
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["logits"]))
    return model.SerializeToString()


def laughing_xml(xml: bytes) -> bytes:
    """Entities that stand for each other, ten times each: a billion laughs."""
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    doctype = f'<!DOCTYPE net [<!ENTITY a0 "ha">{entities}]>'.encode()
    head, _, rest = xml.partition(b"?>")
    return head + b"?>" + doctype + rest.replace(b'name="', b'name="&a9;', 1)


def crf_of(**changes: Any) -> dict[str, Any]:
    kernel = {"kernel": "Spatial", "sigma": 3.0, "weight": 1.0, "spacing": 1.0}
    return {"kind": "DenseCRF", "kernels": [kernel], "num_steps": 2, "normalization": "symmetric", **changes}
