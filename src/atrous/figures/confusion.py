"""Picture of a confusion matrix: what is right, and what is taken for what."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from atrous.errors import ConfigError
from atrous.figures.canvas import BLUE, GRID, INK, MUTED, ORANGE

EMPTY = "#f8f9fa"
MOST_NUMBERS = 25  # classes; in a larger matrix numbers are no longer legible


def draw_confusion_matrix(matrix: Int64[np.ndarray, "k k"], names: Sequence[str]) -> Figure:
    """Share of the pixels of each class (row) that are labeled with each class (column), in percent.

    Blue is right and orange is wrong. A class without pixels in the truth has a gray row.

    Args:
        matrix: Pixels; row = class in the truth, column = class in the label map.
        names: One name a class.

    Raises:
        ConfigError: If the number of names is not that of the classes.
    """
    num_classes = len(matrix)
    if len(names) != num_classes:
        raise ConfigError(f"{len(names)} names for a matrix of {num_classes} classes; give one name a class")
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    cell = float(np.clip(9 / num_classes, 0.12, 0.45))  # inches
    margin = 0.9 + 0.075 * max(len(name) for name in names)
    side = max(num_classes * cell, 1.5) + margin
    figure = Figure(figsize=(side, side))
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    axes = figure.add_subplot()
    axes.imshow(_colors(shares, shown=matrix.sum(1) > 0), interpolation="nearest")
    _name_sides(axes, names, size=min(9.0, 60 * cell))
    if num_classes <= MOST_NUMBERS:
        _write_numbers(axes, matrix, shares)
    return figure


def _colors(shares: Float[np.ndarray, "k k"], *, shown: np.ndarray) -> Float[np.ndarray, "k k 3"]:
    """Blue on the diagonal, orange off it, the larger the stronger; gray rows for classes not shown."""
    strength = np.sqrt(shares)[..., None]  # small mistakes stay visible
    right = np.eye(len(shares), dtype=bool)[..., None]
    full = np.where(right, to_rgb(BLUE), to_rgb(ORANGE))
    colors = strength * full + (1 - strength) * np.array(to_rgb(EMPTY))
    return np.where(shown[:, None, None], colors, to_rgb(GRID))


def _name_sides(axes: Axes, names: Sequence[str], *, size: float) -> None:
    """Classes on the left and above, white lines between the cells."""
    places = np.arange(len(names))
    axes.set_yticks(places, names, fontsize=size, color=INK, parse_math=False)
    axes.set_xticks(places, names, fontsize=size, color=INK, rotation=90, parse_math=False)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0, pad=4)
    axes.set_xlabel("label map, % of the pixels of a row", color=MUTED, fontsize=9, labelpad=8)
    axes.set_ylabel("truth", color=MUTED, fontsize=9, labelpad=8)
    axes.spines[:].set_visible(False)
    if len(names) <= MOST_NUMBERS:
        axes.set_xticks(places[1:] - 0.5, minor=True)
        axes.set_yticks(places[1:] - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="minor", length=0)


def _write_numbers(axes: Axes, matrix: Int64[np.ndarray, "k k"], shares: Float[np.ndarray, "k k"]) -> None:
    """Percent in every cell that has one; a dash where the truth shows no pixel of the class."""
    for row, column in np.ndindex(*shares.shape):
        percent = 100 * shares[row, column]
        if not matrix[row].any() and row == column:
            text, color = "\N{EN DASH}", MUTED
        elif percent >= 0.5:
            text, color = f"{percent:.0f}", "white" if percent >= 40 else INK
        else:
            continue
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
