"""Label maps of any size on disk: a GeoTIFF on the grid of its raster, or a palette PNG; written by rows."""

import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from atrous.data.images import palette_bytes
from atrous.data.labels import IGNORE, LabelSet
from atrous.data.notes import KEYWORD, note_chunk
from atrous.errors import ConfigError, OutputError
from atrous.files import write_atomically
from atrous.inference.gdal import MIB, gdal_reason, gdal_session
from atrous.inference.grid import Grid
from atrous.inference.label_strips import LabelStrips

TILE = 512
"""Side of a GeoTIFF's tiles, px."""


def label_map_suffix(grid: Grid) -> str:
    """Ending of the label map of a raster: ".tif" where it lies somewhere, else ".png"."""
    return ".tif" if grid.is_georeferenced else ".png"


def finish_label_map(strips: LabelStrips, grid: Grid, label_set: LabelSet, *, note: str = "") -> None:
    """Join the strips into the label map at `strips.path`, by its ending, and delete them.

    It is put together among the strips and moved to its name in one step; if that fails, the strips stay.
    A GeoTIFF carries the classes' names as tags `class_0` and so on, their colors as its palette, and
    has nodata 255. The note, where there is one, becomes a text or tag `atrous`.

    Raises:
        ConfigError: If the path ends otherwise than .png, .tif or .tiff.
        OutputError: If rows are missing, or the file cannot be written.
    """
    if strips.next_row != strips.size[0]:
        raise OutputError(
            f"rows {strips.next_row} to {strips.size[0] - 1} of {strips.path} are missing; run the same again"
        )
    write = _writer(strips.path)
    whole = strips.folder / f"whole{strips.path.suffix}"
    try:
        write_atomically(whole, lambda temporary: write(temporary, strips, _Meaning(grid, label_set, note)))
        whole.replace(strips.path)
    except OSError as error:  # an OutputError is one, too
        raise OutputError(
            f"cannot write {strips.path} ({error.__cause__ or error}); all its rows are kept in "
            f"{strips.folder}: make room and run the same again"
        ) from error
    strips.remove()


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a label map says beside its labels."""

    grid: Grid
    label_set: LabelSet
    note: str


def stored_note(path: Path) -> str:
    """The note in a GeoTIFF that `finish_label_map` wrote; empty without one, or in what is none."""
    with gdal_session() as rasterio:
        try:
            with rasterio.open(path, driver="GTiff") as stored:
                return stored.tags().get(KEYWORD, "")
        except rasterio.errors.RasterioError:
            return ""


def _writer(path: Path) -> Callable[[Path, LabelStrips, _Meaning], None]:
    writers = {".png": _write_png, ".tif": _write_geotiff, ".tiff": _write_geotiff}
    if path.suffix.lower() not in writers:
        raise ConfigError(f"{path} is no name of a label map, which ends in {', '.join(writers)}; rename it")
    return writers[path.suffix.lower()]


def _write_png(path: Path, strips: LabelStrips, meaning: _Meaning) -> None:
    height, width = strips.size
    packer = zlib.compressobj(6)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.write(_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)))  # 8 bits, palette
        file.write(_chunk(b"PLTE", palette_bytes(meaning.label_set)))
        if meaning.note:
            file.write(_chunk(*note_chunk(meaning.note)))
        for rows in strips.rows(TILE):
            filtered = np.zeros((len(rows), width + 1), np.uint8)  # each row begins with its filter: 0, none
            filtered[:, 1:] = rows
            file.write(_chunk(b"IDAT", packer.compress(filtered.data)))
        file.write(_chunk(b"IDAT", packer.flush()))
        file.write(_chunk(b"IEND", b""))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _write_geotiff(path: Path, strips: LabelStrips, meaning: _Meaning) -> None:
    height, width = strips.size
    cache_bytes = max(64 * MIB, 2 * TILE * (width + TILE))  # two rows of tiles
    with gdal_session(cache_bytes=cache_bytes) as rasterio:
        try:
            with rasterio.open(
                path, "w", driver="GTiff", height=height, width=width, **_creation(meaning.grid)
            ) as target:
                _describe(target, meaning)
                checksum = 0
                for start, rows in _numbered(strips.rows(TILE)):
                    target.write(rows, 1, window=((start, start + len(rows)), (0, width)))
                    checksum = zlib.crc32(rows.data, checksum)
            if _stored_checksum(rasterio, path) != checksum:
                raise OutputError(f"{path} does not read back as it was written; write it to another disk")
        except rasterio.errors.RasterioIOError as error:
            raise OSError(gdal_reason(error)) from error


def _creation(grid: Grid) -> dict[str, Any]:
    """Options of a GeoTIFF in tiles, a BigTIFF where 4 GiB could be too little."""
    options = {
        "count": 1,
        "dtype": "uint8",
        "nodata": IGNORE,
        "crs": grid.crs,
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "compress": "deflate",
        "bigtiff": "IF_SAFER",
    }
    if grid.transform is not None and not grid.transform.is_identity:
        options["transform"] = grid.transform
    return options


def _describe(target: Any, meaning: _Meaning) -> None:
    """Where it lies beyond CRS and transform, what the labels mean, and how they were made."""
    grid, label_set = meaning.grid, meaning.label_set
    points, points_crs = grid.gcps
    if points:
        target.gcps = (list(points), points_crs)
    if grid.rpcs:
        target.rpcs = grid.rpcs
    target.update_tags(AREA_OR_POINT=grid.area_or_point, **({KEYWORD: meaning.note} if meaning.note else {}))
    target.update_tags(1, **{f"class_{label}": name for label, name in enumerate(label_set.names)})
    colors = dict(enumerate(label_set.palette))
    target.write_colormap(1, {**dict.fromkeys(range(IGNORE + 1), (0, 0, 0)), **colors})


def _numbered(parts: Iterable[UInt8[np.ndarray, "rows w"]]) -> Iterable[tuple[int, np.ndarray]]:
    """Each part with the number of its first row."""
    start = 0
    for rows in parts:
        yield start, rows
        start += len(rows)


def _stored_checksum(rasterio: Any, path: Path) -> int:
    """Of all rows in the file; GDAL says nothing of a disk that is full when it closes a file."""
    checksum = 0
    with rasterio.open(path) as stored:
        for start in range(0, stored.height, TILE):
            stop = min(start + TILE, stored.height)
            rows = stored.read(1, window=((start, stop), (0, stored.width)))
            checksum = zlib.crc32(np.ascontiguousarray(rows).data, checksum)
    return checksum
