"""What a raster says before its pixels are read: its kind, its sizes, how it is turned."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.orientation import UPRIGHT, png_orientation, tiff_orientation
from atrous.errors import AtrousError, DataError
from atrous.inference.gdal import gdal_errors, gdal_reason

HEADS = {
    b"II*\0": "GTiff", b"MM\0*": "GTiff", b"II+\0": "GTiff", b"MM\0+": "GTiff", b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG", b"\0\0\0\x0cjP": "JP2OpenJPEG", b"\xff\x4f\xff\x51": "JP2OpenJPEG",
}  # fmt: skip
"""Beginnings of files, and GDAL's readers of them. The others do not read by rows, have no bands of colors,
or ask a network for what a file names; so does that of a .vrt, which is chosen by this ending alone."""

LONGEST_ROW = 1 << 22  # pixels; 10 m each, they go round the earth
LARGEST_BLOCK = 1 << 30  # bytes of a tile or strip, which is decoded as a whole

_ORIENTATIONS = tuple("12345678")  # others mean nothing


@contextmanager
def describing(path: Path, rasterio: Any) -> Iterator[None]:
    """What a file says of itself beside its pixels can be damaged, too; GDAL then has errors of its own.

    Raises:
        DataError: In place of one of them.
    """
    try:
        yield
    except AtrousError:
        raise
    except (*gdal_errors(rasterio), ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{path} says of itself what none can read ({gdal_reason(error)}); store it as TIFF anew"
        ) from error


def driver_of(path: Path) -> str:
    """GDAL's reader of a file, by how it begins.

    Raises:
        DataError: If none is used here.
    """
    if path.suffix.lower() == ".vrt":
        return "VRT"
    with path.open("rb") as file:
        begin = file.read(max(map(len, HEADS)))
    found = next((driver for head, driver in HEADS.items() if begin.startswith(head)), None)
    if found is None:
        raise DataError(f"{path} does not begin as a TIFF, PNG, JPEG or JPEG 2000 does; store it as TIFF")
    return found


def refuse_sizes(path: Path, dataset: Any) -> None:
    """Nothing, if rows and blocks, which are in memory as a whole, are not longer than that allows.

    Raises:
        DataError: If they are, whatever little the file stores of them.
    """
    pixel = max(np.dtype(dtype).itemsize for dtype in dataset.dtypes)
    block = max(height * width for height, width in dataset.block_shapes) * pixel
    if dataset.width > LONGEST_ROW or block > LARGEST_BLOCK:
        raise DataError(
            f"{path} has {dataset.width:,} pixels in a row and blocks of {block:,} bytes, and rows up to "
            f"{LONGEST_ROW:,} and blocks up to {LARGEST_BLOCK:,} are read; store it in tiles, or cut it"
        )


def refuse_turned(path: Path, dataset: Any) -> None:
    """Nothing, unless an image is shown turned: it would be labeled lying on its side.

    Raises:
        DataError: If it is.
    """
    if dataset.driver == "PNG":
        orientation = png_orientation(path)
    elif dataset.driver == "GTiff":
        orientation = tiff_orientation(path)
    else:
        stored = dataset.tags().get("EXIF_Orientation", "")
        orientation = int(stored) if stored in _ORIENTATIONS else UPRIGHT
    if orientation != UPRIGHT:
        raise DataError(
            f"{path} is stored turned or mirrored (EXIF orientation {orientation}), and reading by rows "
            "cannot turn it; store it upright, as by `magick FILE -auto-orient UPRIGHT`"
        )
