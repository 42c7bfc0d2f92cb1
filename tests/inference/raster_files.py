"""Rasters for tests, written by rasterio itself."""

import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

UTM = {"crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)}


def noise(*shape: int, seed: int = 0, dtype: type = np.uint8) -> np.ndarray:
    """Random values of the whole range of a type."""
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def write_geotiff(path: Path, bands: np.ndarray, *, colors: tuple = (), **options: object) -> Path:
    """A GeoTIFF of the bands (c, h, w); options as `rasterio.open` takes them, marks of the colors."""
    count, height, width = bands.shape
    size = {"count": count, "height": height, "width": width, "dtype": bands.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", **{**size, **options}) as target:
            target.write(bands)
            if colors:
                target.colorinterp = colors
    return path


def cut_off(path: Path, share: float = 0.6) -> Path:
    """The file, without its end."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
