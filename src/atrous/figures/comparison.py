"""Several trainings in one picture: their loss and their mean IoU on validation, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from atrous.figures.canvas import INK, MUTED, tidy
from atrous.figures.curves import Course


@dataclass(frozen=True, slots=True)
class Run:
    """One line of the picture.

    Attributes:
        name: Written at its end.
        course: What was logged.
        color: As matplotlib takes it.
        start: Update that its first one follows.
    """

    name: str
    course: Course
    color: str
    start: int = 0


def draw_comparison(runs: Sequence[Run], *, ceiling: float, ceiling_name: str) -> Figure:
    """Loss above, mean IoU on validation below, by update.

    A run that starts where another ends begins at that one's last point.

    Args:
        runs: In the order of their starts.
        ceiling: Mean IoU, 0-1, drawn as a dashed line.
        ceiling_name: What it means.
    """
    figure = Figure(figsize=(9, 5.4))
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
    loss_axes, score_axes = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    for axes, label in ((loss_axes, "training loss"), (score_axes, "mean IoU on validation, %")):
        tidy(axes)
        axes.set_ylabel(label, color=INK, fontsize=10)
    ends: dict[tuple[str, int], tuple[float, float]] = {}
    for run in runs:
        for axes, name, factor in ((loss_axes, "loss", 1.0), (score_axes, "val_mean_iou", 100.0)):
            _draw_run(axes, run, name, factor, ends)
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


def _draw_run(
    axes: Axes, run: Run, name: str, factor: float, ends: dict[tuple[str, int], tuple[float, float]]
) -> None:
    """The measured points, joined to the end of the run it goes on from; scores get dots and the run's name."""
    values = run.course.values[name]
    known = np.isfinite(values)
    steps, values = run.course.steps[known] + run.start, factor * values[known]
    if not len(steps):
        return
    ends.setdefault((name, int(steps[-1])), (float(steps[-1]), float(values[-1])))
    if name == "val_mean_iou" and (name, run.start) in ends:
        step, value = ends[name, run.start]
        steps, values = np.append(step, steps), np.append(value, values)
    marker = "o" if name == "val_mean_iou" else ""
    axes.plot(steps, values, color=run.color, linewidth=2, marker=marker, markersize=4, clip_on=False)
    if name == "val_mean_iou":
        place = (steps[-1], values[-1])
        axes.annotate(
            f"{run.name}  {values[-1]:.1f}",
            place,
            xytext=(0, -8),
            textcoords="offset points",
            ha="right",
            va="top",
            color=run.color,
            fontsize=10,
            fontweight="bold",
        )
