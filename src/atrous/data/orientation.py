"""How a picture is to be turned before it is shown, read from its file without decoding a pixel."""

import struct
from pathlib import Path
from typing import BinaryIO

from PIL import Image, TiffImagePlugin

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
        return _of_directory(file)


def _of_exif(data: bytes) -> int:
    exif = Image.Exif()
    try:
        exif.load(data)
    except (SyntaxError, struct.error):  # damaged; read_image ignores it, too
        return UPRIGHT
    return _known(exif.get(_ORIENTATION))


def _of_directory(file: BinaryIO) -> int:
    header = file.read(8)
    if header[2:3] == b"\x2b" or header[3:4] == b"\x2b":  # BigTIFF, whose header is twice as long
        header += file.read(8)
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(header)
        file.seek(directory.next)
        directory.load(file)
    except (SyntaxError, struct.error, OSError):  # damaged; who reads the pixels says so
        return UPRIGHT
    return _known(directory.get(_ORIENTATION))


def _known(orientation: object) -> int:
    """The number if it is one of EXIF's; anything else means nothing."""
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else UPRIGHT
