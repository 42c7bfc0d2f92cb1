"""What happens to measured values where an image is zoomed, mirrored and cropped."""

import numpy as np
from jaxtyping import Float32

from atrous.data.quantity import Quantity, Values


def zoomed(values: Values, size: tuple[int, int], quantity: Quantity) -> Float32[np.ndarray, "k H W"]:
    """The values at another size (h, w), each of the nearest pixel, so none is made up between two.

    Depth stays what it is; motion is in pixels and grows with the sides.
    """
    height, width = values.shape[1:]
    if (height, width) == size:
        return values
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip((height, width), size, strict=True)
    )
    taken = values[:, rows[:, None], columns]
    if quantity.kind == "flow":
        taken = taken * np.array([size[1] / width, size[0] / height], np.float32)[:, None, None]
    return taken


def taken(
    values: Values, rows: np.ndarray, columns: np.ndarray, quantity: Quantity
) -> Float32[np.ndarray, "k H W"]:
    """The values at rows and columns; NaN beyond the image.

    Columns that run from right to left mirror the image: what moves to the right then moves to the left.
    """
    inside_rows = (rows >= 0) & (rows < values.shape[1])
    inside_columns = (columns >= 0) & (columns < values.shape[2])
    crop = np.full((len(values), len(rows), len(columns)), np.nan, np.float32)
    found = values[:, rows[inside_rows][:, None], columns[inside_columns]]
    crop[:, np.flatnonzero(inside_rows)[:, None], np.flatnonzero(inside_columns)] = found
    if quantity.kind == "flow" and columns[0] > columns[-1]:
        crop[0] = -crop[0]
    return crop
