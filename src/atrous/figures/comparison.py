"""Several trainings in one picture: their loss and their mean IoU on validation, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from atrous.figures.canvas import INK, MUTED, tidy
from atrous.figures.curves import Course

LOSS, SCORE = "loss", "val_mean_iou"  # columns of the log


@dataclass(frozen=True, slots=True)
class Run:
    """One line of the picture.

    Attributes:
        name: Written at its end.
        course: What was logged.
        color: As matplotlib takes it.
        after: What the run goes on from: its line begins where that one ends.
    """

    name: str
    course: Course
    color: str
    after: Course | None = None


def draw_comparison(runs: Sequence[Run], *, ceiling: float, ceiling_name: str) -> Figure:
    """Loss above, mean IoU on validation below, by update.

    A run that starts where another ends begins at that one's last point.

    Args:
        runs: In the order of their starts.
        ceiling: Mean IoU, 0-1, drawn as a dashed line.
        ceiling_name: What it means.
    """
    figure = Figure(figsize=(8, 5.2))
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
    loss_axes, score_axes = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    for axes, label in ((loss_axes, "training loss"), (score_axes, "mean IoU on validation, %")):
        tidy(axes)
        axes.set_ylabel(label, color=INK, fontsize=10)
    for run in runs:
        loss_axes.plot(*_points(run, LOSS), color=run.color, linewidth=1.6)
        _draw_scores(score_axes, run)
    loss_axes.set_yscale("log")
    score_axes.axhline(100 * ceiling, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    score_axes.annotate(
        ceiling_name, (0, 100 * ceiling), xytext=(4, 4), textcoords="offset points", color=MUTED, fontsize=9
    )
    score_axes.set_ylim(0, 102)
    score_axes.set_xlim(0, None)
    score_axes.set_xlabel("update", color=INK, fontsize=10)
    score_axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.align_ylabels()
    return figure


def _draw_scores(axes: Axes, run: Run) -> None:
    """Dots joined, from the end of what the run goes on from; its name and last score at the end."""
    steps, scores = _points(run, SCORE)
    if run.after is not None:
        before = _points(Run("", run.after, ""), SCORE)
        steps, scores = (np.append(old[-1:], new) for old, new in zip(before, (steps, scores), strict=True))
    axes.plot(steps, 100 * scores, color=run.color, linewidth=2, marker="o", markersize=4, clip_on=False)
    if len(steps):
        axes.annotate(
            f"{run.name} {100 * scores[-1]:.1f}",
            (steps[-1], 100 * scores[-1]),
            xytext=(0, -9),
            textcoords="offset points",
            ha="right",
            va="top",
            color=run.color,
            fontsize=10,
            fontweight="bold",
        )


def _points(run: Run, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Updates, counted from the start of all, and what was measured there."""
    values = run.course.values[name]
    known = np.isfinite(values)
    start = 0.0 if run.after is None else run.after.steps[-1]
    return run.course.steps[known] + start, values[known]
