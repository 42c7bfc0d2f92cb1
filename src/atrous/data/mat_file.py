"""One field of a struct in a .mat file of MATLAB 5 to 7, the form of SBD's labels.

scipy's reader ends the whole process on some damaged files (segmentation fault, scipy 1.17), and a data set
of 11,355 files has damaged ones at times. Format: MathWorks, "MAT-File Format", version 5.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

LARGEST = 1 << 24
"""Bytes that a compressed variable may unpack to; the labels of VOC's images take under a megabyte."""

_HEADER, _VERSION = 128, b"\x00\x01IM"
_MATRIX, _COMPRESSED = 14, 15  # types of elements
_STRUCT, _DOUBLE, _UINT64 = 2, 6, 15  # classes of matrices; numbers are those from _DOUBLE to _UINT64
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}

_Element = tuple[int, memoryview]


def read_struct_field(content: bytes, *, variable: str, field: str) -> np.ndarray:
    """Array of numbers in a field of a 1 x 1 struct, in the type that it is stored as.

    Args:
        content: Of the file.
        variable: Name of the struct.
        field: Name of the field.

    Raises:
        ValueError: With the reason, if the file is damaged, of another form, or has no such field.
    """
    if content[124:_HEADER] != _VERSION:
        raise ValueError("it is no little-endian .mat file of MATLAB 5 to 7")
    for element in _elements(memoryview(content)[_HEADER:]):
        kind, data = _unpacked(element)
        if kind == _MATRIX:
            parts = _parts(data)
            if bytes(parts[2][1]).decode("latin-1") == variable:
                return _to_array(_field(parts, field))
    raise ValueError(f"it has no {variable}")


def _elements(data: memoryview) -> Iterator[_Element]:
    """Type and content of each element; sizes are checked, so a file that is cut off shows."""
    place = 0
    while place < len(data):
        if place + 8 > len(data):
            raise ValueError("it is cut off")
        kind, size = struct.unpack("<II", data[place : place + 8])
        start, padding = place + 8, -size % 8
        if kind >> 16:  # up to four bytes stand in the tag itself, beside a type and a size of 16 bits
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            padding = 4 - size
        if start + size > len(data):
            raise ValueError("it is cut off")
        yield kind, data[start : start + size]
        place = start + size + (0 if kind == _COMPRESSED else padding)


def _unpacked(element: _Element) -> _Element:
    """The element, or what it holds compressed; the checksum tells damage."""
    kind, data = element
    if kind != _COMPRESSED:
        return element
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(data, LARGEST)
    except zlib.error as error:
        raise ValueError("its compressed data are damaged") from error
    if not stream.eof:
        raise ValueError(f"its compressed data are cut off, or over {LARGEST} bytes")
    return next(_elements(memoryview(content)), (0, memoryview(b"")))


def _parts(matrix: memoryview) -> list[_Element]:
    """Elements of a matrix: flags, sides, name, and what depends on its class."""
    parts = list(_elements(matrix))
    if len(parts) < 4 or len(parts[0][1]) != 8:
        raise ValueError("a variable is damaged")
    return parts


def _class(parts: list[_Element]) -> int:
    return struct.unpack("<I", parts[0][1][:4])[0] & 0xFF


def _field(parts: list[_Element], field: str) -> list[_Element]:
    """Parts of the matrix in a field of a struct."""
    if _class(parts) != _STRUCT or len(parts) < 5 or len(parts[3][1]) != 4:
        raise ValueError("it holds no struct")
    (length,) = struct.unpack("<i", parts[3][1])
    joined = bytes(parts[4][1]).decode("latin-1")
    names = [joined[start : start + length].rstrip("\0") for start in range(0, len(joined), length)]
    if field not in names:
        raise ValueError(f"its struct has no field {field}")
    if len(parts) != 5 + len(names):
        raise ValueError("its struct is damaged, or one of several")
    return _parts(parts[5 + names.index(field)][1])


def _to_array(parts: list[_Element]) -> np.ndarray:
    kind, data = parts[3]
    if not _DOUBLE <= _class(parts) <= _UINT64 or kind not in _NUMBERS:
        raise ValueError("its field holds no numbers")
    sides = np.frombuffer(parts[1][1], "<i4").tolist()
    values = np.frombuffer(data, f"<{_NUMBERS[kind]}")
    return values.reshape(sides, order="F")
