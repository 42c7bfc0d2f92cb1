"""The classes of a data set: their names, their colors, and the one value that marks ignored pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from atrous.errors import DataError

IGNORE = 255
"""Label of pixels that count nowhere, neither in the loss nor in the scores; on disk another may do so."""

BACKGROUND = "background"
"""What class 0 is called, in any letter case, where it is what is around the things that count."""

MAX_CLASSES = IGNORE
"""Labels are stored in 8 bits, and the last value is taken by `IGNORE`."""

Color = tuple[int, int, int]
"""Red, green, blue, 0-255."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Names and colors of the classes, in the order of their labels 0, 1, 2 and so on.

    >>> LabelSet(("background", "cell")).num_classes
    2

    Attributes:
        names: One name a class, no two alike.
        palette: One RGB color (0-255) a class; left out, `distinct_palette` fills it.

    Raises:
        DataError: If there are 0 or over 255 classes, a name is empty, doubled or not printable, or the
            palette is wrong.
    """

    names: tuple[str, ...]
    palette: tuple[Color, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= MAX_CLASSES:
            raise DataError(
                f"{len(self.names)} class names given, a label set has 1 to {MAX_CLASSES}: name each once"
            )
        for name in self.names:
            if not name.strip():
                raise DataError("a class has an empty name; give every class a name")
            if not name.isprintable():
                raise DataError(f"the class name {name!r} holds what cannot be printed; rename it")
            if self.names.count(name) > 1:
                raise DataError(
                    f"the class name {name!r} is used twice; names tell classes apart, so rename one"
                )
        if not self.palette:
            object.__setattr__(self, "palette", distinct_palette(len(self.names)))
        if len(self.palette) != len(self.names):
            raise DataError(
                f"the palette has {len(self.palette)} colors for {len(self.names)} classes; "
                "give one color a class, or none for automatic colors"
            )
        for color in self.palette:
            if len(color) != 3 or any(not 0 <= value <= 255 for value in color):
                raise DataError(
                    f"the palette holds {color}; a color is three numbers from 0 to 255: red, green, blue"
                )

    @classmethod
    def unnamed(cls, num_classes: int) -> LabelSet:
        """Label set for data whose classes nobody named: "class 0", "class 1" and so on."""
        return cls(tuple(f"class {label}" for label in range(num_classes)))

    @property
    def num_classes(self) -> int:
        """Number of classes; ignored pixels are not a class."""
        return len(self.names)

    @property
    def num_outputs(self) -> int:
        """Outputs of a network that gives them: one a class."""
        return self.num_classes

    @property
    def is_named(self) -> bool:
        """Whether somebody named the classes; `unnamed` only counts them."""
        return self.names != LabelSet.unnamed(self.num_classes).names

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and strings that JSON and TOML can hold; `from_dict` reads them back."""
        return {"names": list(self.names), "palette": [list(color) for color in self.palette]}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> LabelSet:
        """Label set of what `to_dict` wrote.

        Raises:
            DataError: If a field is missing or has another form.
        """
        try:
            names = tuple(str(name) for name in fields["names"])
            palette = tuple((int(red), int(green), int(blue)) for red, green, blue in fields["palette"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"a label set is stored as names and palette (a list of [red, green, blue]); got {fields!r}"
            ) from error
        return cls(names, palette)


@cache
def distinct_palette(num_colors: int) -> tuple[Color, ...]:
    """Colors that are far from each other and from black and white, which are left for what is no class.

    Each next color is the one of a 7 x 7 x 7 grid that is farthest (Euclidean, RGB) from all before it, so
    a longer palette begins with the shorter one.
    """
    levels = [round(255 * step / 6) for step in range(7)]
    grid = np.array(list(product(levels, repeat=3)))
    distances = np.minimum(((grid - 0) ** 2).sum(1), ((grid - 255) ** 2).sum(1))  # black and white are taken
    chosen = []
    for _ in range(num_colors):
        farthest = int(distances.argmax())
        chosen.append(farthest)
        distances = np.minimum(distances, ((grid - grid[farthest]) ** 2).sum(1))
    return tuple((int(red), int(green), int(blue)) for red, green, blue in grid[chosen])
