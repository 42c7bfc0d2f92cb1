"""LabelMe: one JSON file beside each image in DATA/SPLIT, with the classes in DATA/labels.toml."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from atrous.config import suggestion
from atrous.data.annotations import (
    draw_circle_,
    draw_polygon_,
    load_annotations,
    refuse_huge,
    to_points,
    uncovered_label,
)
from atrous.data.folder import Dataset, Pair, files_by_stem
from atrous.data.label_file import read_class_names
from atrous.data.labels import IGNORE, LabelSet
from atrous.errors import DataError

IGNORED_NAME = "__ignore__"
"""LabelMe's own name for regions that count nowhere."""


@dataclass(frozen=True, slots=True)
class LabelMeMask:
    """Labels drawn from the shapes of a LabelMe file; later shapes cover earlier ones, as in LabelMe."""

    path: Path
    label_set: LabelSet

    def read(self) -> UInt8[np.ndarray, "h w"]:
        """Labels 0 to k-1, and 255 for ignored pixels.

        Raises:
            DataError: If the file is missing or broken, a label is no class, or a shape encloses no region.
        """
        content = load_annotations(self.path)
        height, width = content.get("imageHeight"), content.get("imageWidth")
        if type(height) is not int or type(width) is not int or min(height, width) < 1:
            raise DataError(f"{self.path} does not say imageHeight and imageWidth; save it in LabelMe again")
        refuse_huge((height, width), source=str(self.path))
        labels = np.full((height, width), uncovered_label(self.label_set), dtype=np.uint8)
        shapes = content.get("shapes")
        if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
            raise DataError(f"{self.path} has no list of shapes; save it in LabelMe again")
        for shape in shapes:
            self._draw_(labels, shape)
        return labels

    def _draw_(self, labels: UInt8[np.ndarray, "h w"], shape: dict[str, Any]) -> None:
        label = self._label(str(shape.get("label")))
        kind = shape.get("shape_type") or "polygon"
        points = self._points(shape)
        if kind == "polygon" and len(points) >= 3:
            draw_polygon_(labels, points, label=label)
        elif kind == "rectangle" and len(points) == 2:
            (left, top), (right, bottom) = points
            corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
            draw_polygon_(labels, corners, label=label)
        elif kind == "circle" and len(points) == 2:
            (x, y), (edge_x, edge_y) = points.tolist()
            draw_circle_(labels, (x, y), radius=math.hypot(edge_x - x, edge_y - y), label=label)
        else:
            raise DataError(
                f'{self.path} has a "{shape.get("label")}" of type {kind} with {len(points)} points, which '
                "encloses no region; draw a polygon, rectangle or circle"
            )

    def _label(self, name: str) -> int:
        if name in self.label_set.names:
            return self.label_set.names.index(name)
        if name == IGNORED_NAME:
            return IGNORE
        raise DataError(
            f'{self.path} has the label "{name}", which labels.toml does not name; '
            f"{suggestion(name, self.label_set.names)}"
        )

    def _points(self, shape: dict[str, Any]) -> Float[np.ndarray, "n 2"]:
        try:
            return to_points(shape["points"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f'{self.path} has a "{shape.get("label")}" without pairs of numbers as points; draw it again'
            ) from error


def find_labelme_splits(root: Path) -> tuple[str, ...]:
    """Every folder DATA/SPLIT that holds JSON files."""
    return tuple(
        sorted(folder.name for folder in root.iterdir() if folder.is_dir() and any(folder.glob("*.json")))
    )


def open_labelme(root: Path, split: str) -> Dataset:
    """A split of images with LabelMe files beside them.

    Pixels that no shape covers are of the class "background" if labels.toml names one, else ignored.

    Raises:
        DataError: If labels.toml is missing or wrong, or two images have the same stem.
    """
    folder = root / split
    label_set = read_class_names(root)
    images = files_by_stem(folder)
    stems = sorted(images.keys() | {path.stem for path in folder.glob("*.json")})
    return Dataset(
        label_set,
        tuple(
            Pair(
                stem,
                images.get(stem, folder / f"{stem}.jpg"),
                LabelMeMask(folder / f"{stem}.json", label_set),
            )
            for stem in stems
        ),
    )
