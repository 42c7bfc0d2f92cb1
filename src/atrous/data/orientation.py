"""How a picture is to be turned before it is shown, read from its file without decoding a pixel."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image

UPRIGHT = 1
"""EXIF's number for a picture that is shown as it is stored; 2-8 are turned or mirrored."""

_ORIENTATION = 0x0112  # the tag's number, in EXIF and in TIFF


def png_orientation(path: Path) -> int:
    """EXIF orientation, 1-8, of a PNG; chunks are skipped, so that a huge file costs nothing."""
    with path.open("rb") as file:
        file.seek(8)  # the signature
        while len(header := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", header)
            if kind == b"eXIf":
                return _of_exif(file.read(length))
            file.seek(length + 4, 1)  # and the checksum
    return UPRIGHT


def tiff_orientation(path: Path) -> int:
    """Orientation, 1-8, of the first page of a TIFF or BigTIFF."""
    with path.open("rb") as file:
        try:
            return _known(dict(_short_tags(file)).get(_ORIENTATION))
        except (KeyError, OSError, struct.error):  # damaged or no TIFF; who reads the pixels says so
            return UPRIGHT


def _short_tags(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Tags of the first directory of a TIFF, read as if each held one 16-bit number."""
    header = file.read(16)
    order = {b"II": "<", b"MM": ">"}[header[:2]]
    is_big = struct.unpack_from(f"{order}H", header, 2) == (43,)
    (place,) = struct.unpack_from(f"{order}Q" if is_big else f"{order}I", header, 8 if is_big else 4)
    file.seek(place)
    (count,) = struct.unpack(f"{order}Q" if is_big else f"{order}H", file.read(8 if is_big else 2))
    entry = struct.Struct(f"{order}HHQH6x" if is_big else f"{order}HHIH2x")  # tag, type, length, value
    for tag, _, _, value in entry.iter_unpack(file.read(min(count, 1 << 16) * entry.size)):
        yield tag, value


def _of_exif(data: bytes) -> int:
    exif = Image.Exif()
    try:
        exif.load(data)
        return _known(exif.get(_ORIENTATION))
    except (SyntaxError, ValueError, LookupError, TypeError, OSError, struct.error):  # damaged
        return UPRIGHT  # as read_image takes it, too


def _known(orientation: object) -> int:
    """The number if it is one of EXIF's; anything else means nothing."""
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else UPRIGHT
