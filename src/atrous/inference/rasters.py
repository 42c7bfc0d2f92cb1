"""Rasters of any size (GeoTIFF, TIFF, PNG, JPEG, JPEG 2000), read by rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Num, UInt8

from atrous.errors import DataError, ShapeError
from atrous.inference.gdal import MIB, gdal_reason, gdal_session
from atrous.inference.grid import Grid, grid_of
from atrous.inference.raster_colors import Colors, plan_colors
from atrous.inference.raster_head import describing, driver_of, refuse_sizes, refuse_turned

_TOO_PROGRESSIVE = "GDAL_ALLOW_LARGE_LIBJPEG_MEM_ALLOC"  # said of JPEGs that would take over 500 MiB
_SAMPLED = 64  # rows
_LEAST_CACHE, _MOST_CACHE = 64 * MIB, 512 * MIB


@dataclass(frozen=True, slots=True)
class Raster:
    """An open raster; made by `open_raster`. Of two threads, only one may read at a time.

    Attributes:
        path: The file.
        grid: Where its pixels lie.
        has_mask: Whether pixels can be invalid.
    """

    path: Path
    grid: Grid
    has_mask: bool
    _colors: Colors
    _dataset: Any
    _broken_rows: list[int]  # the first row that could not be read, once there is one

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.grid.size

    def read(self, start: int, stop: int) -> UInt8[np.ndarray, "rows w 3"]:
        """Rows start..stop-1 in full width, RGB, 0-255; in any order, cheapest from top to bottom.

        The values are those of `read_image`, but for JPEG, which rasterio decodes by another library (colors
        that are stored at half the size are enlarged in another way), and for inks (CMYK), by 1 at most.

        Raises:
            DataError: If rows are cut off or damaged, or hold values that no image has.
            ShapeError: If there are no such rows.
        """
        values = self._values(self._colors.bands, start, stop)
        if self.has_mask and values.dtype not in (np.uint8, np.uint16):
            values[:, ~self._valid(start, stop)] = 0  # such as -9999, which no gray level is
        return self._colors.to_rgb(values)

    def valid(self, start: int, stop: int) -> Bool[np.ndarray, "rows w"] | None:
        """Which pixels of the rows start..stop-1 hold data, by alpha, mask or nodata; None for all.

        Raises:
            DataError: If rows are cut off or damaged.
            ShapeError: If there are no such rows.
        """
        return self._valid(start, stop) if self.has_mask else None

    def identity(self) -> dict[str, Any]:
        """What tells this input from another, for the fingerprint of a job that goes on later."""
        status = self.path.stat()
        return {
            "path": str(self.path.resolve()),
            "bytes": status.st_size,
            "modified_ns": status.st_mtime_ns,
            "bands": list(self._colors.bands),
            "span": self._colors.span,
        }

    def brightest(self) -> int | None:
        """The largest value in rows at the top, in the middle and at the end of 16-bit data without a span.

        None for other data. It is then known whether 65535 is white, or whether all would be nearly black.

        Raises:
            DataError: If rows are cut off or damaged.
        """
        colors, height = self._colors, self.size[0]
        is_wide = {np.dtype(self._dataset.dtypes[band - 1]).itemsize for band in colors.bands} == {2}
        if not is_wide or colors.span is not None or colors.palette is not None:
            return None
        starts = {0, max(height // 2 - _SAMPLED // 2, 0), max(height - _SAMPLED, 0)}
        samples = [
            self._values(colors.bands, start, min(start + _SAMPLED, height)) for start in sorted(starts)
        ]
        return max(int(sample.max()) for sample in samples)

    def _valid(self, start: int, stop: int) -> Bool[np.ndarray, "rows w"]:
        alpha = self._colors.alpha
        if alpha is None:
            return self._values(self._colors.bands, start, stop, masks=True).max(0) > 0
        return self._values((alpha,), start, stop)[0] > 0

    def _values(
        self, bands: tuple[int, ...], start: int, stop: int, *, masks: bool = False
    ) -> Num[np.ndarray, "c rows w"]:
        """What the file holds, or its masks (0 for invalid), in the order of the bands."""
        height = self.size[0]
        if not 0 <= start < stop <= height:
            raise ShapeError(f"{self.path} has no rows {start} to {stop - 1}; ask for some of 0-{height - 1}")
        if any(row < stop for row in self._broken_rows):
            raise self._broken("as before")  # libjpeg complains once, and then makes rows up
        window = ((start, stop), (0, self.size[1]))
        with gdal_session(cache_bytes=_cache_bytes(self._dataset)) as rasterio:
            try:
                if masks:
                    return self._dataset.read_masks(bands, window=window)
                return self._dataset.read(bands, window=window)
            except rasterio.errors.RasterioIOError as error:
                reason = gdal_reason(error)
                if _TOO_PROGRESSIVE in reason:
                    raise DataError(
                        f"{self.path} is a progressive JPEG, which is decoded as a whole, and too large for "
                        "that; store it as a baseline JPEG, as by `jpegtran FILE > BASELINE`, or as TIFF"
                    ) from error
                self._broken_rows.append(_first_broken_row(rasterio, self.path, start, stop))
                raise self._broken(reason) from error

    def _broken(self, reason: str) -> DataError:
        return DataError(
            f"{self.path} cannot be read from row {min(self._broken_rows)} of {self.size[0]} on ({reason}): "
            "it is cut off or damaged; replace the file"
        )


@contextmanager
def open_raster(
    path: Path, *, bands: tuple[int, ...] | None = None, span: tuple[float, float] | None = None
) -> Iterator[Raster]:
    """A raster to read by rows; closed at the end of the `with`.

    One band is gray or a palette, three are red, green and blue; a band marked as alpha is a mask. A raster
    with more needs `bands`.

    Args:
        path: A file; a TIFF stored in tiles or strips, a PNG, or a JPEG that is not progressive takes memory
            for some rows only.
        bands: Three bands (red, green, blue) or one (gray), counted from 1.
        span: Values that become black and white; needed for floats.

    Raises:
        ConfigError: If rasterio is not installed, or neither one nor three bands were asked for.
        DataError: If the file is missing or broken, has no such bands, or floats, too many bands, or an
            orientation.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist or is no file; check the name")
    with gdal_session() as rasterio:
        try:
            dataset = rasterio.open(path, driver=driver_of(path))
        except rasterio.errors.RasterioError as error:
            raise DataError(
                f"{path} cannot be read as a raster ({gdal_reason(error)}); store it as TIFF, PNG or JPEG"
            ) from error
    with dataset:
        with describing(path, rasterio):
            refuse_sizes(path, dataset)
            grid = grid_of(dataset)
            if not grid.is_georeferenced:  # places are those of the pixels as they are stored
                refuse_turned(path, dataset)
            colors = plan_colors(dataset, bands, span=span, source=str(path))
            has_mask = _has_mask(dataset, colors)
        yield Raster(path, grid, has_mask, colors, dataset, [])


def _cache_bytes(dataset: Any) -> int:
    """Memory for decoded blocks: two rows of them, so that none is decoded twice from top to bottom."""
    block_height = max(height for height, _ in dataset.block_shapes)
    pixel = sum(np.dtype(dtype).itemsize for dtype in dataset.dtypes)
    wanted = 2 * block_height * (dataset.width + 1024) * pixel  # tiles reach beyond the right border
    return min(max(wanted, _LEAST_CACHE), _MOST_CACHE)


def _has_mask(dataset: Any, colors: Colors) -> bool:
    flags = [flag.name for band in colors.bands for flag in dataset.mask_flag_enums[band - 1]]
    return colors.alpha is not None or any(flag != "all_valid" for flag in flags)


def _first_broken_row(rasterio: Any, path: Path, start: int, stop: int) -> int:
    """The first row that cannot be read alone, of a file that is opened anew; `start` where each can."""
    with rasterio.open(path, driver=driver_of(path)) as dataset:
        for row in range(start, stop):
            try:
                dataset.read(window=((row, row + 1), (0, dataset.width)))
            except rasterio.errors.RasterioIOError:
                return row
    return start
