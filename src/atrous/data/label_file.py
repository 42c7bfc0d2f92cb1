"""DATA/labels.toml: what the classes are called, and how masks store them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from atrous.config import load_toml
from atrous.data.encoding import ColorEncoding, Encoding, IndexEncoding
from atrous.data.images import image_files, read_color_mask, read_index_mask
from atrous.data.labels import IGNORE, Color, LabelSet
from atrous.errors import ConfigError, DataError

LABEL_FILE = "labels.toml"
_PROPOSAL_MASKS = 20  # looked at to propose a labels.toml: enough to meet the usual classes, read at once
_PROPOSAL_COLORS = 32  # more than that are no palette but a photograph, or blurred edges


@dataclass(frozen=True, slots=True)
class LabelFile:
    """The keys of labels.toml.

    Attributes:
        names: One name a class.
        palette: One RGB color (0-255) a class; left out, colors are chosen.
        encoding: "index": masks hold one number a pixel; "color": they hold the colors of the palette.
        values: The number that stands for each class; left out, 0, 1, 2 and so on.
        ignore_index: The number of ignored pixels; left out, 255, unless that stands for a class.
        ignore_colors: Colors of ignored pixels.

    Raises:
        DataError: If the keys contradict each other.
    """

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...] = ()
    encoding: Literal["index", "color"] = "index"
    values: tuple[int, ...] | None = None
    ignore_index: int | None = None
    ignore_colors: tuple[tuple[int, int, int], ...] | None = None

    def __post_init__(self) -> None:
        if self.encoding == "color" and not self.palette:
            raise DataError('encoding = "color" needs a palette; give one [red, green, blue] a class')
        foreign = ("values", "ignore_index") if self.encoding == "color" else ("ignore_colors",)
        for key in foreign:
            if getattr(self, key) is not None:
                raise DataError(f'{key} says nothing where encoding = "{self.encoding}"; remove it')
        if self.values is not None and len(self.values) != len(self.names):
            raise DataError(
                f"values has {len(self.values)} entries for {len(self.names)} names; give one value a class"
            )
        _ = self.label_set, self.mask_encoding  # built once to be valid or refused

    @property
    def label_set(self) -> LabelSet:
        """Names and colors of the classes."""
        return LabelSet(self.names, self.palette)

    @property
    def mask_encoding(self) -> Encoding:
        """How mask files are read."""
        if self.encoding == "color":
            return ColorEncoding(
                tuple(zip(self.palette, range(len(self.names)), strict=True)), self.ignore_colors or ()
            )
        values = tuple(range(len(self.names))) if self.values is None else self.values
        if self.ignore_index is not None:
            return IndexEncoding(values, ignored=(self.ignore_index,))
        return IndexEncoding(values, ignored=() if IGNORE in values else (IGNORE,))


def read_label_file(root: Path, *, mask_folder: Path | None = None) -> LabelFile:
    """What DATA/labels.toml says.

    Args:
        root: The folder DATA.
        mask_folder: Masks to look at when the file is missing, to propose its content.

    Raises:
        DataError: If the file is missing or no TOML, has an unknown key, or contradicts itself.
    """
    path = root / LABEL_FILE
    if not path.is_file():
        proposal = 'names = ["first class", "second class"]' if mask_folder is None else propose(mask_folder)
        raise DataError(f"{path} is missing, which names the classes; write into it, a line each: {proposal}")
    try:
        return load_toml(path, LabelFile)
    except ConfigError as error:
        raise DataError(str(error)) from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_class_names(root: Path) -> LabelSet:
    """Classes of DATA/labels.toml for annotations, which have no mask files.

    Raises:
        DataError: As `read_label_file`, or if a key describes mask files.
    """
    label_file = read_label_file(root)
    if label_file != LabelFile(label_file.names, label_file.palette):
        raise DataError(
            f"{root / LABEL_FILE} describes mask files, not annotations; keep only names and palette"
        )
    return label_file.label_set


def propose(mask_folder: Path) -> str:
    """Content for labels.toml, on one line (`;` for a new line), that fits the first masks of a folder."""
    colors: set[Color] = set()
    values: set[int] = set()
    for path in image_files(mask_folder)[:_PROPOSAL_MASKS]:
        try:
            values.update(np.unique(read_index_mask(path)).tolist())
        except DataError:
            seen = np.unique(read_color_mask(path).reshape(-1, 3), axis=0)
            colors.update((int(red), int(green), int(blue)) for red, green, blue in seen)
    if len(colors) > _PROPOSAL_COLORS:
        return 'names = ["first", "second"] ; encoding = "color" ; palette = [[0, 0, 0], [255, 255, 255]]'
    if colors:
        palette = [list(color) for color in sorted(colors)]
        return f'{_names(len(colors))} ; encoding = "color" ; palette = {palette}'
    if values == {0, IGNORE}:
        return 'names = ["background", "object"] ; values = [0, 255]'
    return _names(max(values - {IGNORE}, default=1) + 1)


def _names(num_classes: int) -> str:
    quoted = ", ".join(f'"{name}"' for name in LabelSet.unnamed(num_classes).names)
    return f"names = [{quoted}]"
