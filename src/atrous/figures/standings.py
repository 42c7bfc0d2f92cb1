"""Several networks under one budget in one picture: a row a network, its scores, what it costs and sees."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from atrous.figures.canvas import BLUE, GRID, INK, MUTED, ORANGE, tidy


@dataclass(frozen=True, slots=True)
class Line:
    """One network.

    Attributes:
        name: Written at its row.
        mean_iou: One a seed, 0-1; none if it failed.
        boundary_f_score: One a seed, 0-1.
        parameters: Trained values; None if it could not be built.
        multiply_adds: Of one image.
        field: Pixels that a cell sees along an axis.
        sees_all: Whether it sees the whole image besides.
    """

    name: str
    mean_iou: tuple[float, ...]
    boundary_f_score: tuple[float, ...]
    parameters: int | None
    multiply_adds: int | None
    field: int | None
    sees_all: bool


COUNTS: dict[str, Callable[[Line], float | None]] = {
    "parameters": lambda line: line.parameters,
    "multiply-adds\nof an image": lambda line: line.multiply_adds,
    "receptive field, px": lambda line: line.field,
}


def draw_standings(lines: Sequence[Line]) -> Figure:
    """Scores in percent, a dot a seed and a bar at their mean; counts on logarithmic scales.

    A network that sees the whole image has "and all" at its field; one that failed has its name and no dots.

    Args:
        lines: Drawn from top to bottom.
    """
    figure = Figure(figsize=(11, 1.3 + 0.42 * len(lines)))
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.06)
    columns: list[Axes] = figure.subplots(1, 5, sharey=True, squeeze=False, width_ratios=(5, 4, 3, 3, 3))[
        0
    ].tolist()
    for axes in columns:
        tidy(axes)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    scores, boundaries, *counts = columns
    _draw_scores(scores, [line.mean_iou for line in lines], "mean IoU, %", color=BLUE)
    _draw_scores(boundaries, [line.boundary_f_score for line in lines], "boundary F-score, %", color=ORANGE)
    for axes, (title, count) in zip(counts, COUNTS.items(), strict=True):
        _draw_counts(axes, [count(line) for line in lines], title)
    for row, line in enumerate(lines):
        if line.sees_all and line.field:
            style = {"textcoords": "offset points", "va": "center", "color": MUTED, "fontsize": 8}
            counts[-1].annotate("and all", (line.field, row), xytext=(7, 0), **style)
    scores.set_yticks(range(len(lines)), [line.name for line in lines], parse_math=False)
    scores.set_ylim(len(lines) - 0.5, -0.5)
    return figure


def _draw_scores(axes: Axes, rows: Sequence[tuple[float, ...]], title: str, *, color: str) -> None:
    for row, values in enumerate(rows):
        if not values:
            across = axes.get_yaxis_transform()
            style = {"ha": "center", "va": "center", "color": MUTED, "fontsize": 8}
            axes.text(0.5, row, "failed", transform=across, **style)
            continue
        mean = 100 * sum(values) / len(values)
        percent = [100 * value for value in values]
        axes.plot(percent, [row] * len(values), "o", color=color, alpha=0.45, markersize=5)
        axes.plot([mean, mean], [row - 0.18, row + 0.18], color=color, linewidth=2.5)
        _write(axes, f"{mean:.1f}", mean, row)
    known = [100 * value for values in rows for value in values] or [0.0, 100.0]
    spare = max(0.12 * (max(known) - min(known)), 5.0)
    axes.set_xlim(min(known) - spare, max(known) + spare)
    axes.set_xlabel(title, color=INK, fontsize=9)


def _draw_counts(axes: Axes, rows: Sequence[float | None], title: str) -> None:
    known = [(value, row) for row, value in enumerate(rows) if value]
    axes.set_xlabel(title, color=INK, fontsize=9)
    if not known:
        axes.set_xticks([])
        return
    axes.set_xscale("log")
    across = axes.get_yaxis_transform()
    axes.hlines([row for _, row in known], 0, 1, transform=across, color=GRID, linewidth=0.8)
    axes.plot(*zip(*known, strict=True), "s", color=MUTED, markersize=5)
    axes.set_xlim(min(known)[0] / 2.5, max(known)[0] * 4)
    axes.xaxis.set_major_locator(LogLocator(numticks=4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    for value, row in known:
        _write(axes, short(value), value, row)


def _write(axes: Axes, text: str, place: float, row: int) -> None:
    """A number above its mark."""
    style = {"textcoords": "offset points", "ha": "center", "color": INK, "fontsize": 8}
    axes.annotate(text, (place, row), xytext=(0, 9), **style)


def short(value: float) -> str:
    """Three digits and k, M, G or T.

    >>> short(73445), short(296), short(5.61e8)
    ('73.4k', '296', '561M')
    """
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g}{letter}"
    return f"{value:.3g}"
