"""What the first bytes of an image tell, without decoding it: its kind, its size, whether it has a place."""

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFile, TiffImagePlugin

_PLACED = (33550, 33922, 34264, 34735, 50844)
"""TIFF tags of a pixel's size, tie points, a transform, GeoTIFF's keys, rational polynomials."""

_WITH_WORLD_FILES = (".tif", ".tiff", ".jpg", ".jpeg", ".png")
"""Images that GDAL reads by rows; it does not others, with or without a place."""

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")
"""What Pillow may take a file for, whatever its ending; it knows more, of which EPS runs a program."""

_MOST_PIXELS_A_BYTE = 8 * 1032  # of a PNG: of one bit each, in the longest matches of its packing

TOO_MANY_PIXELS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, OverflowError, struct.error,
    zlib.error, MemoryError,
)  # fmt: skip
"""What Pillow makes of broken bytes; MemoryError where it asks for as many as a part of the file claims."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """An image as its header describes it.

    Attributes:
        size: Height and width in pixels; None where Pillow does not decode such images.
        is_huge: Whether it does not because they have too many pixels.
        is_placed: Whether it says where on earth its pixels lie, by TIFF tags or a world file beside it.
    """

    size: tuple[int, int] | None = None
    is_huge: bool = False
    is_placed: bool = False


def read_header(path: Path) -> ImageHeader:
    """The header of an image file; one without a size if it is broken or none."""
    is_placed = _has_world_file(path) or _has_places(path)
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        try:
            with opened(path) as image:
                return ImageHeader((image.height, image.width), is_placed=is_placed)
        except TOO_MANY_PIXELS:
            return ImageHeader(is_huge=True, is_placed=is_placed)
        except BROKEN:
            return ImageHeader(is_placed=is_placed)


@contextmanager
def opened(file: Path | io.BytesIO) -> Iterator[ImageFile.ImageFile]:
    """The image of a file or its content, of one of `FORMATS`, not decoded yet.

    Pillow only warns of more pixels than `Image.MAX_IMAGE_PIXELS` (89 million), and refuses twice as many;
    here the first number is the limit.

    Raises:
        FileNotFoundError: If there is no such file.
        DecompressionBombError: If it has too many pixels.
        OSError, SyntaxError, ...: One of `BROKEN`, if it is broken or no image.
    """
    with Image.open(file, formats=FORMATS) as image:
        if is_huge(image.height, image.width):
            raise Image.DecompressionBombError(
                f"{image.width * image.height:,} pixels, the limit is {Image.MAX_IMAGE_PIXELS:,}"
            )
        size = file.stat().st_size if isinstance(file, Path) else len(file.getbuffer())
        if image.format == "PNG" and image.width * image.height > _MOST_PIXELS_A_BYTE * size:
            raise OSError(f"it claims {image.width} x {image.height} pixels, which {size} bytes cannot hold")
        yield image


def is_huge(height: int, width: int) -> bool:
    """Whether an image has more pixels than Pillow's `Image.MAX_IMAGE_PIXELS` allows."""
    return Image.MAX_IMAGE_PIXELS is not None and height * width > Image.MAX_IMAGE_PIXELS


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what Pillow logs of TIFFs with more bands than it knows, which are no fault here."""
    logger = logging.getLogger("PIL.TiffImagePlugin")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was_disabled


def _has_world_file(path: Path) -> bool:
    """Whether six numbers lie beside it: a.tfw, a.tifw or a.wld of a.tif."""
    if path.suffix.lower() not in _WITH_WORLD_FILES:
        return False
    letters = path.suffix[1:].lower()
    endings = (f".{letters[:1]}{letters[-1:]}w", f"{path.suffix}w", ".wld")
    return any(path.with_suffix(ending).is_file() for ending in endings)


def _has_places(path: Path) -> bool:
    """Whether it is a TIFF with tags of places, of any size and kind of pixels."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
            if head[:2] not in (b"II", b"MM"):
                return False
            is_big = head[2:4] in (b"+\0", b"\0+")
            directory = TiffImagePlugin.ImageFileDirectory_v2(head if is_big else head[:8])
            file.seek(directory.next)
            directory.load(file)
    except BROKEN:
        return False
    return any(tag in directory for tag in _PLACED)
