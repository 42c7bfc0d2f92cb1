"""Files of measured values: .npy, float TIFF, 16-bit PNG with a scale, .flo; and depth written as TIFF."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from atrous.data import array_file
from atrous.data.array_file import read_npy
from atrous.data.flo import read_flo
from atrous.data.image_header import BROKEN, TOO_MANY_PIXELS, opened
from atrous.data.quantity import Quantity, Values
from atrous.errors import DataError
from atrous.files import write_atomically

VALUE_ENDINGS: dict[str, tuple[str, ...]] = {
    "depth": (".png", ".npy", ".tif", ".tiff"),
    "flow": (".flo", ".png", ".npy"),
}
"""Endings (lower case) of the files that hold values of a kind."""

_KITTI_ZERO, _KITTI_STEPS = 2**15, 64.0  # KITTI's development kit: (value - 2^15) / 64 px


def read_values(path: Path, quantity: Quantity, *, scale: float | None) -> Values:
    """Values (k, h, w) in the quantity's unit; NaN where nothing is measured.

    Of depth, 0 and what is below is not measured; of integers, the scale says how much of the unit 1 is.
    Flow in PNGs is KITTI's: 16-bit u and v, and whether they are known.

    Args:
        path: Of a file with one of `VALUE_ENDINGS`.
        quantity: What it holds.
        scale: Of values.toml; None where it says nothing.

    Raises:
        DataError: If the file is missing, broken, of another shape or type, or integers have no scale.
    """
    ending = path.suffix.lower()
    if quantity.kind == "flow" and ending != ".npy":
        return quantity.cleaned(read_flo(path) if ending == ".flo" else _read_kitti_flow(path))
    stored = _load_npy(path) if ending == ".npy" else _load_image(path)
    if stored.ndim == 2:
        stored = stored[None]
    if stored.ndim == 3 and len(stored) != len(quantity.channels) == stored.shape[2]:
        stored = stored.transpose(2, 0, 1)
    if stored.ndim != 3 or len(stored) != len(quantity.channels):
        one = len(quantity.channels) == 1
        wanted = "(h, w)" if one else f"({len(quantity.channels)}, h, w), {' and '.join(quantity.channels)},"
        raise DataError(f"{path} has the shape {stored.shape}, and {wanted} is wanted; store it so")
    if stored.dtype.kind in "iu" and scale is None:
        raise DataError(
            f"{path} holds integers ({stored.dtype}), and nothing says how much 1 is; write scale = ... (in "
            f"{quantity.unit}, such as 0.001) into values.toml"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 is infinity: not measured
        return quantity.cleaned(stored.astype(np.float32) * np.float32(1.0 if scale is None else scale))


def write_depth(path: Path, values: Values, *, unit: str = "m") -> None:
    """Write depth (1, h, w) as a float32 TIFF that names the unit; it appears whole or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    encoded = encode_depth(values, unit=unit)
    write_atomically(path, lambda temporary: temporary.write_bytes(encoded))


def encode_depth(values: Values, *, unit: str = "m") -> memoryview:
    """The content of such a TIFF."""
    encoded = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(values[0], np.float32)).save(
        encoded, "TIFF", compression="tiff_adobe_deflate", description=f"depth in {unit}"
    )
    return encoded.getbuffer()


def _load_npy(path: Path) -> np.ndarray:
    try:
        stored = read_npy(path)
    except array_file.BROKEN as error:
        raise DataError(
            f"{path} cannot be read as an array ({error}); make it anew with numpy.save"
        ) from error
    if stored.dtype.kind not in "iuf":
        raise DataError(f"{path} holds no numbers; store values as floats or integers")
    return stored


def _load_image(path: Path) -> np.ndarray:
    """One number a pixel: 16-bit integers, or floats."""
    try:
        with opened(path) as image:
            mode, stored = image.mode, np.array(image)
    except (*BROKEN, *TOO_MANY_PIXELS) as error:
        raise _unreadable(path, error) from error
    if mode == "F" or mode.startswith(("I;16", "I")):
        return stored
    raise DataError(
        f"{path} is an image of {mode} with 8 bits or colors; depth is one number a pixel: 16-bit gray PNG "
        "with a scale in values.toml, float TIFF, or .npy"
    )


def _read_kitti_flow(path: Path) -> Values:
    """KITTI's 16-bit PNG of u, v and whether they are known.

    Pillow keeps 8 of the 16 bits: the high ones as it opens the file, the low ones if told that the bytes lie
    the other way round. Together they are all.
    """
    high, low = (_decoded_as(path, order) for order in ("B", "L"))
    stored = (high.astype(np.uint16) << 8 | low).transpose(2, 0, 1)  # (3, h, w)
    flow = (stored[:2].astype(np.float32) - np.float32(_KITTI_ZERO)) / np.float32(_KITTI_STEPS)
    return np.where(stored[2] > 0, flow, np.float32(np.nan)).astype(np.float32)


def _decoded_as(path: Path, order: str) -> np.ndarray:
    """One byte of every 16-bit color: the first ("B") or the second ("L")."""
    try:
        with opened(path) as image:
            tiles = image.tile
            if image.format != "PNG" or [tile.args for tile in tiles] != ["RGB;16B"]:
                raise DataError(
                    f"{path} is no PNG of three 16-bit colors, as KITTI stores flow; store it so, or as .flo"
                )
            image.tile = [tile._replace(args=f"RGB;16{order}") for tile in tiles]
            return np.array(image)
    except DataError:
        raise
    except (*BROKEN, *TOO_MANY_PIXELS) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read as an image ({error}); replace the file, or cut it into parts")
