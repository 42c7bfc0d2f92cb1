"""GDAL, which rasterio brings, set up so that it reads by rows, says what is broken, and keeps quiet."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from atrous.errors import ConfigError

MIB = 1 << 20

_OPTIONS: dict[str, Any] = {
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE",  # else a JPEG that is cut off goes on in gray
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",  # that shortcut takes a PNG that is cut off for a whole one
}


@contextmanager
def gdal_session(*, cache_bytes: int = 64 * MIB) -> Iterator[Any]:
    """The module `rasterio`, inside its environment.

    Args:
        cache_bytes: Memory for decoded blocks, of the whole process; GDAL's own choice is 5 % of the machine.

    Raises:
        ConfigError: If rasterio is not installed.
    """
    try:
        import rasterio
    except ImportError as error:
        raise ConfigError('rasters are read and written by rasterio; pip install "atrous[geo]"') from error
    _ignore_lying_nowhere()
    with rasterio.Env(GDAL_CACHEMAX=cache_bytes, **_OPTIONS):
        yield rasterio


def _ignore_lying_nowhere() -> None:
    """No warnings about rasters without a place on earth, which are as good as any here.

    For good, since warnings cannot be caught for a while where several threads open rasters.
    """
    from rasterio.errors import NotGeoreferencedWarning

    if not any(
        action == "ignore" and kind is NotGeoreferencedWarning for action, _, kind, *_ in warnings.filters
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)


def gdal_reason(error: Exception) -> str:
    """GDAL's words for what went wrong, on one line; rasterio's own only point to them."""
    return " ".join(str(error.__cause__ or error).split()).rstrip(".")


def gdal_errors(rasterio: Any) -> tuple[type[Exception], ...]:
    """Rasterio's errors, and those of GDAL that it lets through."""
    from rasterio._err import CPLE_BaseError

    return rasterio.errors.RasterioError, CPLE_BaseError
