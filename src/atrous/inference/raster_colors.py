"""Which bands of a raster are the red, green and blue of an image, and what 8-bit values they become."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Num, UInt8

from atrous.data.images import eight_bit_gray
from atrous.errors import ConfigError, DataError

_BITS = tuple(map(str, range(1, 65)))


@dataclass(frozen=True, slots=True)
class Colors:
    """How bands become RGB.

    Attributes:
        source: Names the raster in errors.
        bands: Three of them (red, green, blue) or one (gray, or an index of the palette), counted from 1.
        alpha: The band that is 0 where the raster is transparent, counted from 1; None without one.
        palette: RGB, 0-255, a row an index; None without one.
        bits: Of a gray value, if there are fewer than 8.
        span: Values that become black and white; None for 0 and the largest of the type.
    """

    source: str
    bands: tuple[int, ...]
    alpha: int | None
    palette: UInt8[np.ndarray, "colors 3"] | None
    bits: int
    span: tuple[float, float] | None = None

    def to_rgb(self, values: Num[np.ndarray, "c rows w"]) -> UInt8[np.ndarray, "rows w 3"]:
        """RGB, 0-255, of the values of the bands, by the rules of `atrous.data.images.read_image`.

        Gray becomes three equal channels; 16-bit gray is scaled by 1/257, of 16-bit colors the high byte
        counts. Where there is a span, values are scaled by it, and clipped; NaN is black.

        Raises:
            DataError: If a value is negative or beyond 16 bits.
        """
        if self.palette is not None:
            return self.palette[values[0]]
        if self.span is not None:
            values = _scaled(values, *self.span)
        if values.dtype != np.uint8:
            gray = np.stack([eight_bit_gray(band, source=self.source) for band in values])
            values = gray if len(self.bands) == 1 else (values >> 8).astype(np.uint8)
        elif self.bits < 8:
            values = (values.astype(np.uint16) * 255 // (2**self.bits - 1)).astype(np.uint8)
        if len(self.bands) == 1:
            return np.repeat(values[0][:, :, None], 3, axis=2)
        return np.ascontiguousarray(values.transpose(1, 2, 0))


def plan_colors(
    dataset: Any, bands: tuple[int, ...] | None, *, span: tuple[float, float] | None = None, source: str
) -> Colors:
    """The bands of an open rasterio dataset that are seen; one or three beside alpha unless they are given.

    Without a span, values of a type that the file says to be filled to 9-15 bits only get theirs.

    Raises:
        ConfigError: If neither one nor three bands were asked for.
        DataError: If there are no such bands, no rule says which to take, or they hold floats.
    """
    chosen = _bands(dataset, source) if bands is None else _checked(dataset, bands, source)
    dtypes = {np.dtype(dataset.dtypes[band - 1]) for band in chosen}
    if span is None and any(dtype.kind not in "iu" for dtype in dtypes):
        raise DataError(
            f"{source} stores floats, and no rule says which are black and white; say it, as in --span 0 1, "
            "span=(0, 1) in Python"
        )
    stored = dataset.tags(chosen[0], ns="IMAGE_STRUCTURE").get("NBITS", "")
    bits = int(stored) if stored in _BITS else 8
    palette = _palette(dataset, chosen[0]) if len(chosen) == 1 else None
    names = [color.name for color in dataset.colorinterp]
    alpha = names.index("alpha") + 1 if "alpha" in names else None
    if span is None and 8 < bits < 16 and dtypes == {np.dtype(np.uint16)}:
        span = (0, 2**bits - 1)
    return Colors(source, chosen, alpha, palette, min(bits, 8), span)


def _bands(dataset: Any, source: str) -> tuple[int, ...]:
    """Those that are not alpha, if they are gray or three colors, in the order red, green, blue."""
    names = {band: dataset.colorinterp[band - 1].name for band in dataset.indexes}
    seen = tuple(band for band, name in names.items() if name != "alpha")
    if len(seen) not in {1, 3}:
        some = "--bands 1 2 3, bands=(1, 2, 3)" if len(seen) > 2 else "--bands 1, bands=(1,)"
        raise DataError(
            f"{source} has {len(seen)} bands beside alpha, and the network takes 3 (red, green, blue) or "
            f"1 (gray); choose them, counted from 1: {some} in Python"
        )
    by_name = {name: band for band, name in names.items()}
    if {"red", "green", "blue"} <= by_name.keys():
        return by_name["red"], by_name["green"], by_name["blue"]
    return seen


def _checked(dataset: Any, bands: tuple[int, ...], source: str) -> tuple[int, ...]:
    if len(bands) not in {1, 3}:
        raise ConfigError(f"{len(bands)} bands asked for; the network takes 3 (red, green, blue) or 1 (gray)")
    for band in bands:
        if band not in dataset.indexes:
            raise DataError(
                f"{source} has no band {band}; its bands are 1 to {dataset.count}, choose among them"
            )
    return tuple(bands)


def _scaled(values: Num[np.ndarray, "c rows w"], low: float, high: float) -> UInt8[np.ndarray, "c rows w"]:
    """Gray levels 0-255 of values from low to high."""
    share = (values.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    return np.rint(255 * np.clip(np.nan_to_num(share, nan=0.0), 0, 1)).astype(np.uint8)


def _palette(dataset: Any, band: int) -> UInt8[np.ndarray, "colors 3"] | None:
    """Colors of every value that the band can have; what the file gives no color is black."""
    if dataset.colorinterp[band - 1].name != "palette":
        return None
    colors = np.zeros((np.iinfo(dataset.dtypes[band - 1]).max + 1, 3), np.uint8)
    for index, color in dataset.colormap(band).items():
        colors[index] = color[:3]
    return colors
