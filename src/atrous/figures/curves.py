"""The course of a training run, drawn from its log."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from atrous.errors import DataError
from atrous.figures.canvas import BAND, BLUE, INK, MUTED, ORANGE, tidy

MEASURES = {  # column of the log -> label and height (inches) of its row
    "loss": ("loss", 2.4),
    "val_mean_iou": ("mean IoU on\nvalidation, %", 2.0),
    "val_error": ("error on\nvalidation", 2.0),
    "learning_rate": ("learning\nrate", 0.9),
    "images_per_second": ("images\na second", 0.9),
}


Values = Float[np.ndarray, "_"]
Line = tuple[Values, Values]  # steps, and what was measured there


@dataclass(frozen=True, slots=True)
class Course:
    """The log of one stage.

    Attributes:
        stage: Its name.
        steps: Logged steps, counted from the start of the run.
        values: Column of `MEASURES` -> a number for each of the steps, NaN where it was not measured.
    """

    stage: str
    steps: Values
    values: dict[str, Values]


def read_log(path: Path) -> tuple[Course, ...]:
    """The stages of a training log: CSV with columns step, stage and `MEASURES`; others are left aside.

    Raises:
        DataError: If the file or a column is missing, or something is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns, rows = reader.fieldnames or (), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}); give the log.csv of a training run") from error
    measures = [name for name in MEASURES if name in columns or name != "val_error"]  # younger than others
    missing = [name for name in ("step", "stage", *measures) if name not in columns]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}; give the log.csv of a training run")
    return tuple(
        Course(
            stage,
            np.array([_number(row, "step", path=path) for row in group]),
            {name: np.array([_number(row, name, path=path) for row in group]) for name in measures},
        )
        for stage, group in ((stage, list(group)) for stage, group in groupby(rows, lambda row: row["stage"]))
    )


def draw_curves(courses: Sequence[Course]) -> Figure:
    """Loss, mean IoU on validation, learning rate and speed by step, the stages shaded and named.

    What was never measured, such as mean IoU in a run without validation, has no row.

    Args:
        courses: The stages of one run, as `read_log` gives them.
    """
    measured = [name for name in MEASURES if name == "loss" or _known(courses, name)]
    heights = [MEASURES[name][1] for name in measured]
    figure = Figure(figsize=(8, sum(heights) + 1))
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.06)
    grid = figure.subplots(len(measured), 1, sharex=True, squeeze=False, height_ratios=heights)
    rows: list[Axes] = grid[:, 0].tolist()
    for axes, name in zip(rows, measured, strict=True):
        tidy(axes)
        axes.set_ylabel(MEASURES[name][0], color=INK, fontsize=9)
        _DRAW[name](axes, _known(courses, name))
    _shade_stages(rows, courses)
    rows[-1].set_xlabel("step", color=INK, fontsize=9)
    rows[-1].xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
    figure.align_ylabels(rows)
    return figure


def moving_average(values: Values, *, width: int) -> Values:
    """Mean of each value and the width // 2 values on either side of it, fewer at the ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    first, last = np.maximum(places - width // 2, 0), np.minimum(places + width // 2 + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)


def _known(courses: Sequence[Course], name: str) -> list[Line]:
    """Steps and values of every stage that measured them."""
    courses = [course for course in courses if name in course.values]
    finite = [(course, np.isfinite(course.values[name])) for course in courses]
    return [(course.steps[known], course.values[name][known]) for course, known in finite if known.any()]


def _draw_loss(axes: Axes, lines: list[Line]) -> None:
    """Every logged loss in a thin line, their moving average in a thick one."""
    top = 0.0
    for steps, losses in lines:
        smooth = moving_average(losses, width=max(1, len(losses) // 20))
        axes.plot(steps, losses, color=BLUE, alpha=0.3, linewidth=0.8)
        axes.plot(steps, smooth, color=BLUE, linewidth=1.8)
        top = max(top, smooth.max(), np.percentile(losses, 99))  # a single spike may leave the picture
    axes.set_ylim(0, 1.05 * top or 1.0)
    note = {"ha": "right", "va": "top", "color": MUTED, "fontsize": 8}
    axes.text(0.99, 0.96, "thick: moving average", transform=axes.transAxes, **note)


def _draw_scores(axes: Axes, lines: list[Line]) -> None:
    """Dots joined within a stage, with a number at the best of the run."""
    for steps, scores in lines:
        axes.plot(steps, 100 * scores, color=BLUE, linewidth=1.5, marker="o", markersize=3.5, clip_on=False)
    best, step = max(
        (score, step) for steps, scores in lines for step, score in zip(steps, scores, strict=True)
    )
    axes.plot(step, 100 * best, "o", color=ORANGE, markersize=6, clip_on=False)
    axes.annotate(
        f"{100 * best:.1f}",
        (step, 100 * best),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        color=ORANGE,
        fontsize=10,
        fontweight="bold",
    )
    axes.margins(y=0.18)


def _draw_errors(axes: Axes, lines: list[Line]) -> None:
    """The same with the smallest as the best, from zero up."""
    for steps, errors in lines:
        axes.plot(steps, errors, color=BLUE, linewidth=1.5, marker="o", markersize=3.5, clip_on=False)
    best, step = min(
        (error, step) for steps, errors in lines for step, error in zip(steps, errors, strict=True)
    )
    axes.plot(step, best, "o", color=ORANGE, markersize=6, clip_on=False)
    axes.annotate(
        f"{best:.3f}",
        (step, best),
        xytext=(0, -13),
        textcoords="offset points",
        ha="center",
        color=ORANGE,
        fontsize=10,
        fontweight="bold",
    )
    axes.set_ylim(0, 1.1 * max(errors.max() for _, errors in lines) or 1.0)


def _draw_learning_rate(axes: Axes, lines: list[Line]) -> None:
    """On a logarithmic scale where one stage is dwarfed by another."""
    peaks = [rates.max() for _, rates in lines]
    for steps, rates in lines:
        axes.plot(steps, rates, color=MUTED, linewidth=1.5)
    if min(peaks) > 0 and max(peaks) > 20 * min(peaks):
        axes.set_yscale("log")
        axes.set_ylim(min(peaks) / 10, 2 * max(peaks))
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.minorticks_off()
    else:
        axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
        axes.yaxis.get_offset_text().set_fontsize(8)


def _draw_speed(axes: Axes, lines: list[Line]) -> None:
    for steps, speeds in lines:
        axes.plot(steps, speeds, color=MUTED, linewidth=1.0)
    axes.set_ylim(0, 1.15 * max(speeds.max() for _, speeds in lines) or 1.0)


_DRAW = {
    "loss": _draw_loss,
    "val_mean_iou": _draw_scores,
    "val_error": _draw_errors,
    "learning_rate": _draw_learning_rate,
    "images_per_second": _draw_speed,
}


def _shade_stages(rows: Sequence[Axes], courses: Sequence[Course]) -> None:
    """Every second stage on a tinted band, all with their names on top."""
    borders = [0.0, *(float(course.steps[-1]) for course in courses)]
    length = max(1.0, borders[-1])
    rows[0].set_xlim(0, 1.01 * length)
    end_of_name = 0.0  # of the last one in the lower line, in characters; about 110 fit
    for index, (course, (start, end)) in enumerate(zip(courses, pairwise(borders), strict=True)):
        for axes in rows if index % 2 else ():
            axes.axvspan(start, end, color=BAND, linewidth=0, zorder=0)
        center = 110 * (start + end) / 2 / length
        raised = center - len(course.stage) / 2 < end_of_name
        if not raised:
            end_of_name = center + len(course.stage) / 2 + 1
        rows[0].annotate(
            course.stage.replace("_", " "),
            ((start + end) / 2, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 17 if raised else 5),
            textcoords="offset points",
            ha="center",
            color=MUTED,
            fontsize=9,
            parse_math=False,
        )


def _number(row: dict[str, str | None], name: str, *, path: Path) -> float:
    """A value of the log, NaN where it is blank."""
    text = row[name]
    if text is None:
        raise DataError(f"{path} ends within a line; it was cut short")
    try:
        return float(text) if text.strip() else math.nan
    except ValueError as error:
        raise DataError(f"{path} has {text!r} as {name}, which is no number") from error
