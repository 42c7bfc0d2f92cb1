"""How classes are written into mask files, as numbers or as colors, and the way back to labels."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from atrous.data.images import read_color_mask, read_index_mask
from atrous.data.labels import IGNORE, Color
from atrous.errors import DataError

_UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class IndexEncoding:
    """One number a pixel.

    Attributes:
        values: The number that stands for each class, in the order of the labels.
        ignored: The numbers that stand for ignored pixels.

    Raises:
        DataError: If a number is outside 0-255 or stands for two things.
    """

    values: tuple[int, ...]
    ignored: tuple[int, ...] = (IGNORE,)

    def __post_init__(self) -> None:
        everything = Counter(self.values + self.ignored)
        for value, number in everything.items():
            if not 0 <= value <= 255:
                raise DataError(
                    f"mask value {value} is outside 0-255; masks have 8 bits, so number classes within"
                )
            if number > 1:
                raise DataError(
                    f"mask value {value} stands for two classes, or for a class and ignored pixels; "
                    "give each its own value"
                )

    def read(self, path: Path) -> UInt8[np.ndarray, "h w"]:
        """Labels (0 to k-1, and 255 for ignored) of a mask file.

        Raises:
            DataError: If the file cannot be read, has colors, or holds a number that stands for nothing.
        """
        return self.decode(read_index_mask(path), source=path)

    def decode(self, raw: UInt8[np.ndarray, "*spatial"], *, source: Path) -> UInt8[np.ndarray, "*spatial"]:
        """Labels of the numbers of a mask; `source` names it in messages.

        Raises:
            DataError: If a number stands for nothing.
        """
        table = np.full(256, _UNKNOWN, dtype=np.int16)
        table[list(self.values)] = range(len(self.values))
        table[list(self.ignored)] = IGNORE
        labels = table[raw]
        if (labels == _UNKNOWN).any():
            present = [int(value) for value in np.unique(raw)]
            raise DataError(f"{source} {self._explain(present, suffix=source.suffix.lower())}")
        return labels.astype(np.uint8)

    def _explain(self, present: list[int], *, suffix: str) -> str:
        """What is wrong with a mask that holds these numbers, and the way out."""
        num_classes = len(self.values)
        wrong = [value for value in present if value not in self.values + self.ignored]
        classes = f"0-{num_classes - 1}" if self.values == tuple(range(num_classes)) else _listed(self.values)
        given = f"holds {_listed(wrong)}, but the classes are {classes}"
        if self.ignored:
            given += f" and {_listed(self.ignored)} {'is' if len(self.ignored) == 1 else 'are'} ignored"
        if suffix in {".jpg", ".jpeg"}:
            return f"{given}; JPEG changes the numbers, so store masks as PNG"
        if set(present) <= {0, 255} and num_classes == 2:
            return f"{given}; for a binary mask of 0 and 255 write values = [0, 255] into labels.toml"
        if wrong == [num_classes] and 0 not in present:
            way_out = f"subtract 1, or write values = [1, ..., {num_classes}] into labels.toml"
            return f"{given}; classes count from 0 here: {way_out}"
        if wrong == [num_classes]:
            return f"{given}; one name is missing in labels.toml, or set ignore_index = {num_classes} there"
        return f"{given}; name these classes in labels.toml, or correct the mask"


@dataclass(frozen=True, slots=True)
class ColorEncoding:
    """One color a pixel; several colors may stand for the same class.

    Attributes:
        colors: Pairs of a color and the label that it stands for.
        ignored: Colors that stand for ignored pixels.
        others_ignored: Whether colors that stand for nothing are ignored too, not refused.

    Raises:
        DataError: If a color stands for two labels, or is none.
    """

    colors: tuple[tuple[Color, int], ...]
    ignored: tuple[Color, ...] = ()
    others_ignored: bool = False

    def __post_init__(self) -> None:
        everything = Counter([*(color for color, _ in self.colors), *self.ignored])
        for color, number in everything.items():
            if not all(0 <= value <= 255 for value in color):
                raise DataError(f"color {_color(color)} has a value outside 0-255; give red, green and blue")
            if number > 1:
                raise DataError(
                    f"color {_color(color)} stands for two classes, or for a class and ignored pixels; "
                    "give each its own color"
                )

    def read(self, path: Path) -> UInt8[np.ndarray, "h w"]:
        """Labels (0 to k-1, and 255 for ignored) of a mask file.

        Raises:
            DataError: If the file cannot be read, or holds a color that stands for nothing.
        """
        known = sorted(
            [(_code(color), label) for color, label in self.colors]
            + [(_code(color), IGNORE) for color in self.ignored]
        )
        codes = np.array([code for code, _ in known], dtype=np.int64)
        labels = np.array([label for _, label in known], dtype=np.uint8)
        pixels = read_color_mask(path, refuse_gray=self.others_ignored)  # else a gray one is all ignored
        red, green, blue = np.moveaxis(pixels.astype(np.int64), 2, 0)
        raw = red << 16 | green << 8 | blue
        nearest = np.searchsorted(codes, raw).clip(max=len(codes) - 1)
        unknown = codes[nearest] != raw
        if unknown.any() and not self.others_ignored:
            raise DataError(f"{path} {self._explain(raw[unknown], suffix=path.suffix.lower())}")
        return np.where(unknown, np.uint8(IGNORE), labels[nearest])

    def _explain(self, unknown: np.ndarray, *, suffix: str) -> str:
        """What is wrong with a mask that holds these color codes, and the way out."""
        codes, counts = np.unique(unknown, return_counts=True)
        code = int(codes[counts.argmax()])
        color = (code >> 16, code >> 8 & 255, code & 255)
        given = f"holds color {_color(color)}, which stands for no class"
        if len(codes) > 1:
            given += f" ({len(codes)} such colors in all)"
        if suffix in {".jpg", ".jpeg"}:
            return f"{given}; JPEG changes the colors, so store masks as PNG"
        return f"{given}; add it to the palette in labels.toml, or to ignore_colors"


Encoding = IndexEncoding | ColorEncoding


def _code(color: Color) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]


def _color(color: Color) -> str:
    return f"[{color[0]}, {color[1]}, {color[2]}]"


def _listed(values: list[int] | tuple[int, ...]) -> str:
    """The first few values, as a reader wants them."""
    head = ", ".join(str(value) for value in values[:8])
    return f"{head}, ..." if len(values) > 8 else head
