"""Measured values beside those that a network says, and how far these are off."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from atrous.data.quantity import Measured, Values
from atrous.figures.canvas import BLUE, INK, MUTED, tidy
from atrous.figures.value_colors import color_depth, color_flow, span_of

NUM_POINTS = 4000  # in the scatter
_ERRORS = "viridis"


def draw_value_errors(shown: Sequence[tuple[Measured, Values]]) -> Figure:
    """A row a sample: image, measured, predicted, error; below, predicted against measured values.

    Colors of a row are on one scale; errors of all rows are. The error of depth is relative, that of flow the
    distance of the vectors' ends in pixels.

    Args:
        shown: At least one sample, with the values that were predicted of it.
    """
    rows = len(shown)
    figure = Figure(figsize=(9, 2.0 * rows + 3.2))
    figure.set_layout_engine("constrained")
    grid = figure.add_gridspec(rows + 1, 4, height_ratios=[*[1.9] * rows, 3.0])
    errors = [_errors(sample, values) for sample, values in shown]
    top = max(
        (float(np.nanquantile(error, 0.98)) for error in errors if np.isfinite(error).any()), default=1.0
    )
    scale = Normalize(0, max(top, 1e-6))
    for row, ((sample, values), error) in enumerate(zip(shown, errors, strict=True)):
        cells = [figure.add_subplot(grid[row, column]) for column in range(4)]
        for axes, picture in zip(cells[:3], _pictures(sample, values), strict=True):
            axes.imshow(picture)
        cells[3].imshow(error, cmap=_ERRORS, norm=scale)
        for axes in cells:
            axes.set_axis_off()
        cells[0].set_title(sample.name, fontsize=8, color=MUTED)
        if row == 0:
            for axes, title in zip(cells[1:], ("measured", "predicted", "error"), strict=True):
                axes.set_title(title, fontsize=9, color=INK)
    quantity = shown[0][0].quantity
    label = "relative error" if quantity.kind == "depth" else f"end-point error, {quantity.unit}"
    color_bar = figure.colorbar(ScalarMappable(scale, _ERRORS), ax=figure.axes, shrink=0.5, aspect=30)
    color_bar.set_label(label, color=INK, fontsize=9)
    _draw_scatter([figure.add_subplot(grid[rows, part]) for part in _columns(len(quantity.channels))], shown)
    return figure


def _columns(number: int) -> list[slice]:
    return [slice(0, 2), slice(2, 4)] if number == 2 else [slice(0, 4)]


def _errors(sample: Measured, values: Values) -> np.ndarray:
    """Error of every pixel (h, w); NaN where nothing was measured."""
    differences = values - sample.values
    if sample.quantity.kind == "depth":
        return np.abs(differences[0]) / sample.values[0]
    return np.hypot(*differences)


def _pictures(sample: Measured, values: Values) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, measured and predicted values in color, on one scale."""
    image = sample.image[..., :3]
    if sample.quantity.kind == "depth":
        span = span_of(sample.values if np.isfinite(sample.values).any() else values)
        return image, color_depth(sample.values[0], span=span), color_depth(values[0], span=span)
    lengths = np.hypot(*sample.values)
    longest = float(np.nanmax(lengths)) if np.isfinite(lengths).any() else 1.0
    return image, color_flow(sample.values, longest=longest), color_flow(values, longest=longest)


def _draw_scatter(cells: Sequence[Axes], shown: Sequence[tuple[Measured, Values]]) -> None:
    """Predicted against measured values of some pixels, a chart a channel; the right ones lie on the line."""
    quantity = shown[0][0].quantity
    truth, said = (
        np.concatenate([part[:, np.isfinite(sample.values).all(0)] for sample, part in pairs], axis=1)
        for pairs in (
            [(sample, sample.values) for sample, _ in shown],
            [(sample, values) for sample, values in shown],
        )
    )
    chosen = np.unique(np.linspace(0, max(truth.shape[1] - 1, 0), NUM_POINTS).astype(int))
    for axes, name, measured, predicted in zip(cells, quantity.channels, truth, said, strict=True):
        tidy(axes)
        if measured.size:
            x, y = measured[chosen], predicted[chosen]
            ends = [float(x.min()), float(x.max())]
            axes.plot(ends, ends, color=MUTED, linewidth=1)
            axes.plot(x, y, ".", color=BLUE, markersize=2, alpha=0.25, markeredgewidth=0)
        if quantity.is_log:
            axes.set(xscale="log", yscale="log")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter("{x:g}")
            axes.minorticks_off()
        axes.set_xlabel(f"measured {name}, {quantity.unit}", color=INK, fontsize=9)
        axes.set_ylabel(f"predicted {name}, {quantity.unit}", color=INK, fontsize=9)
