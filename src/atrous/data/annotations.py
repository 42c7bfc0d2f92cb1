"""What the annotation formats share: JSON files, and regions drawn into label maps.

Pillow's own polygon filling is not used: it cuts coordinates to integers and draws the outline too, so
that every object grows by half a pixel or more.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from atrous.data.labels import IGNORE, LabelSet
from atrous.errors import DataError


def load_annotations(path: Path) -> dict[str, Any]:
    """The JSON object of a file.

    Raises:
        DataError: If the file is missing or cut off, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); export the annotations again") from error
    if not isinstance(content, dict):
        raise DataError(
            f"{path} holds a JSON {type(content).__name__}, annotations are an object; export them again"
        )
    return content


def uncovered_label(label_set: LabelSet) -> int:
    """Label of pixels that no region covers: the class called "background" if there is one, else ignored."""
    names = [name.lower().strip("_") for name in label_set.names]
    return names.index("background") if "background" in names else IGNORE


def to_points(numbers: Any) -> Float[np.ndarray, "n 2"]:
    """Points (x, y) of a list x, y, x, y ... or of a list of pairs, as JSON gives them.

    Raises:
        TypeError, ValueError: If they are no finite numbers, or an odd number of them.
    """
    points = np.array(numbers, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("a coordinate is not finite")
    return points


def draw_polygon_(labels: UInt8[np.ndarray, "h w"], polygon: Float[np.ndarray, "n 2"], *, label: int) -> None:
    """Set the pixels whose centers a polygon encloses (even-odd rule) to a label, in place.

    Args:
        labels: Label map to draw into.
        polygon: Corners (x, y) in pixels from the top left corner of the image; pixel 0 spans 0 to 1. Parts
            outside the image do not count.
        label: Value to set.
    """
    height, width = labels.shape
    x_start, y_start = polygon.T
    x_stop, y_stop = np.roll(polygon, -1, axis=0).T
    # An edge crosses the center lines of rows first..last-1; each crossing flips all pixels right of it.
    first = np.ceil(np.minimum(y_start, y_stop) - 0.5).clip(0, height).astype(np.int64)
    last = np.ceil(np.maximum(y_start, y_stop) - 0.5).clip(0, height).astype(np.int64)
    counts = last - first
    if not counts.any():
        return
    edges = np.repeat(np.arange(len(polygon)), counts)
    rows = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts) + first[edges]
    slopes = (x_stop[edges] - x_start[edges]) / (y_stop[edges] - y_start[edges])
    crossings = x_start[edges] + (rows + 0.5 - y_start[edges]) * slopes
    columns = np.ceil(crossings - 0.5).clip(0, width).astype(np.int64)
    top, left = rows.min(), columns.min()
    flips = np.zeros((rows.max() + 1 - top, columns.max() + 1 - left), dtype=np.int64)
    np.add.at(flips, (rows - top, columns - left), 1)
    inside = flips.cumsum(axis=1)[:, :-1] % 2 == 1
    window = labels[top : rows.max() + 1, left : columns.max()]
    window[inside] = label


def draw_circle_(
    labels: UInt8[np.ndarray, "h w"], center: tuple[float, float], *, radius: float, label: int
) -> None:
    """Set the pixels whose centers a circle encloses to a label, in place; all lengths in pixels."""
    rows, columns = np.ogrid[: labels.shape[0], : labels.shape[1]]
    labels[(columns + 0.5 - center[0]) ** 2 + (rows + 0.5 - center[1]) ** 2 <= radius**2] = label


def polygon_area(polygon: Float[np.ndarray, "n 2"]) -> float:
    """Area in square pixels, by the shoelace formula."""
    x, y = polygon.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
