"""Arrays in .npy and .npz files: never a pickle, and no more memory than the file can fill."""

import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

UNPACKED = 1 << 30
"""Bytes that an array may unpack to, however small its file; further ones take a hundredth of as many."""

BROKEN = (
    OSError, ValueError, EOFError, KeyError, TypeError, SyntaxError, OverflowError, RecursionError,
    RuntimeError, MemoryError, tokenize.TokenError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What numpy and zipfile make of broken bytes; MemoryError is the parser's, of a header nested too deep."""

_MOST_RATIO = 100
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npy(path: Path) -> np.ndarray:
    """The array of an .npy file.

    Raises:
        OSError, ValueError, ...: One of `BROKEN`, if it is broken, holds Python objects, or claims more
            values than it has.
    """
    with path.open("rb") as file:
        return _array(file, path.stat().st_size)


def read_npz(path: Path, names: Collection[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Those arrays of an .npz that have one of these names, and the names of all.

    Raises:
        OSError, ValueError, ...: One of `BROKEN`, as `read_npy`, or if an array unpacks to more than
            `UNPACKED` bytes out of very few.
    """
    found = {}
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        for name in names:
            if name in members:
                _refuse_bomb(members[name], path.stat().st_size)
                with archive.open(members[name]) as file:
                    found[name] = _array(file, members[name].file_size)  # type: ignore[arg-type]
    return found, list(members)


def _array(file: io.BufferedIOBase, size: int) -> np.ndarray:
    """The array, if so many bytes hold what its header claims."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"its form {version} is unknown")
    shape, _, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never unpickled")
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize > size - file.tell():
        raise ValueError(f"it claims {dtype} of shape {shape} and has {size} bytes")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _refuse_bomb(member: zipfile.ZipInfo, size: int) -> None:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("it is packed as numpy does not pack")
    if member.file_size > UNPACKED + _MOST_RATIO * min(member.compress_size, size):
        raise ValueError(f"{member.compress_size} bytes of it unpack to {member.file_size}")
