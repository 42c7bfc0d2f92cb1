"""What the annotation formats share: JSON files, and regions drawn into label maps.

Pillow's own polygon filling is not used: it cuts coordinates to integers and draws the outline too, so
that every object grows by half a pixel or more.
"""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, UInt8

from atrous.data.image_header import is_huge
from atrous.data.labels import IGNORE, LabelSet
from atrous.errors import DataError

FARTHEST = 1e9  # px from the corner of the image
_AT_ONCE = 1 << 22  # crossings that are computed at once
_USUAL = 1 << 20  # crossings that are few even for a small image


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
        TypeError, ValueError, OverflowError: If they are no numbers up to `FARTHEST`, or an odd number.
    """
    points = np.array(numbers, dtype=np.float64).reshape(-1, 2)
    if not (np.abs(points) <= FARTHEST).all():
        raise ValueError("a coordinate is not finite, or beyond any image")
    return points


def refuse_huge(size: tuple[int, int], *, source: str) -> None:
    """Nothing, if a label map (h, w) of this size is no larger than images that are read.

    Raises:
        DataError: If it is.
    """
    if is_huge(*size):
        raise DataError(
            f"{source} speaks of an image of {size[1]} x {size[0]} px, more than are read of one; correct "
            "it, or cut the image into parts"
        )


def draw_polygon_(labels: UInt8[np.ndarray, "h w"], polygon: Float[np.ndarray, "n 2"], *, label: int) -> None:
    """Set the pixels whose centers a polygon encloses (even-odd rule) to a label, in place.

    Args:
        labels: Label map to draw into.
        polygon: Corners (x, y) in pixels from the top left corner of the image; pixel 0 spans 0 to 1. Parts
            outside the image do not count.
        label: Value to set.

    Raises:
        DataError: If it crosses more rows than any outline.
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
    if counts.sum() > 4 * labels.size + _USUAL:
        raise DataError(
            f"a polygon of {len(polygon):,} corners crosses {counts.sum():,} rows of an image of {width} x "
            f"{height} px, as no outline does; draw it again"
        )
    top, bottom = first[counts > 0].min(), last[counts > 0].max()
    left, right = (int(np.clip(side, 0, width)) for side in (x_start.min() - 1, x_start.max() + 2))
    flips = np.zeros((bottom - top, right + 1 - left), dtype=np.int64)
    for edges in _in_groups(counts):
        group = counts[edges]
        chosen = np.repeat(np.arange(edges.start, edges.stop), group)
        rows = np.arange(group.sum()) - np.repeat(group.cumsum() - group, group) + first[chosen]
        slopes = (x_stop[chosen] - x_start[chosen]) / (y_stop[chosen] - y_start[chosen])
        crossings = x_start[chosen] + (rows + 0.5 - y_start[chosen]) * slopes
        columns = np.ceil(crossings - 0.5).clip(left, right).astype(np.int64)
        np.add.at(flips, (rows - top, columns - left), 1)
    inside = flips.cumsum(axis=1)[:, :-1] % 2 == 1
    window = labels[top:bottom, left:right]
    window[inside] = label


def _in_groups(counts: Int64[np.ndarray, " n"]) -> Iterator[slice]:
    """Edges one after the other, in groups with not many more crossings than are computed at once."""
    groups = counts.cumsum() // _AT_ONCE
    starts = np.flatnonzero(np.diff(groups, prepend=-1)).tolist()
    for start, stop in pairwise([*starts, len(counts)]):
        yield slice(start, stop)


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
