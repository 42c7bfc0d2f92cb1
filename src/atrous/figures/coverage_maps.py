"""The parts of a picture of coverage: a map of a plane, the bars of an axis, and the key to both.

How often a position is read is drawn in multiples of what it would be if all paths were spread evenly.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import SubFigure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from atrous.figures.canvas import BLUE, GRID, INK, MUTED, ORANGE, tidy
from atrous.geometry.coverage import Coverage

SHADES = ListedColormap(colormaps["cividis"](np.linspace(0, 0.88, 256)), "shades")  # white is left for holes
HOLE = {"facecolor": "white", "edgecolor": ORANGE, "hatch": "//////", "linewidth": 0.0}
DECADES = 3.0  # that are told apart, from the most often read position on down


def common_scale(coverages: Sequence[Coverage]) -> tuple[float, float]:
    """How often positions of any coverage are read: the least, or least still told apart, and the most."""
    seen = [_times_even(coverage)[coverage.seen] for coverage in coverages]
    highest = max(float(times.max()) for times in seen)
    lowest = max(min(float(times.min()) for times in seen), highest / 10**DECADES)
    return min(lowest, highest / 10), highest


def draw_map(axes: Axes, coverage: Coverage, plane: tuple[int, int], scale: tuple[float, float]) -> None:
    """How often each position of a plane is read, white where never; in the middle of any third axis.

    Args:
        axes: Changed.
        coverage: Of two or three axes.
        plane: Axis of the field that points down, and axis that points to the right.
        scale: What the darkest and the lightest color stand for.
    """
    middle = tuple(
        slice(None) if axis in plane else size // 2 for axis, size in enumerate(coverage.seen.shape)
    )
    times, seen = _times_even(coverage)[middle], coverage.seen[middle]
    shades = LogNorm(*scale, clip=True)
    colors = np.where(seen[..., None], SHADES(shades(np.where(seen, times, 1.0))), 1.0)
    (top, bottom), (left, right) = (_ends(coverage, axis) for axis in plane)
    if plane[0] > plane[1]:
        colors = colors.swapaxes(0, 1)
    extent = (left, right, bottom, top)
    axes.imshow(colors, extent=extent, interpolation="antialiased", aspect="auto")
    axes.set_box_aspect(1)
    axes.spines[:].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=8, length=3)
    for ruler in (axes.xaxis, axes.yaxis):
        ruler.set_major_locator(MaxNLocator(5, integer=True))
        ruler.label.set(color=INK, fontsize=9)


def draw_bars(
    axes: Axes, coverage: Coverage, *, axis: int, top: float | None = None, is_beside: bool = False
) -> None:
    """How often each position of an axis is read; hatched from end to end where never.

    Args:
        axes: Changed.
        coverage: Of any number of axes.
        axis: Of the field.
        top: The largest number that fits; taken from the bars unless given.
        is_beside: Turned, to stand right of a map.
    """
    along = coverage.axis(axis)
    times = _times_even(along)
    top = 1.1 * float(times.max()) if top is None else top
    low, high = _ends(coverage, axis)
    edges, orientation = np.arange(low, high + 1), "horizontal" if is_beside else "vertical"
    axes.stairs(np.where(along.seen, 0.0, top), edges, orientation=orientation, fill=True, **HOLE)
    axes.stairs(times, edges, orientation=orientation, fill=True, color=BLUE)
    tidy(axes)
    axes.grid(visible=False)
    if is_beside:
        axes.set(xlim=(0, top), ylim=(high, low))
    else:
        axes.set(xlim=(low, high), ylim=(0, top))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    for ruler in (axes.xaxis, axes.yaxis):
        ruler.label.set(color=INK, fontsize=9)


def draw_key(foot: SubFigure, scale: tuple[float, float], *, has_map: bool) -> None:
    """What the colors mean."""
    hole = Patch(**HOLE, label="never read, white in the map" if has_map else "never read")
    foot.legend(
        handles=[hole] if has_map else [hole, Patch(color=BLUE, label="read")],
        loc="center left",
        bbox_to_anchor=(0.02, 0.5),
        ncols=2,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )
    if has_map:
        axes = foot.add_axes((0.45, 0.6, 0.5, 0.22))
        bar = foot.colorbar(ScalarMappable(LogNorm(*scale), SHADES), cax=axes, orientation="horizontal")
        ticks = np.geomspace(*scale, 3)
        bar.set_ticks(ticks.tolist(), labels=[f"{float(f'{tick:.2g}'):g}" for tick in ticks])
        bar.set_label("how often it is read (1: all paths evenly spread)", color=INK, fontsize=9)
        bar.outline.set_edgecolor(GRID)
        axes.minorticks_off()
        axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=8.5)


def _times_even(coverage: Coverage) -> Float[np.ndarray, "..."]:
    return coverage.density * coverage.density.size


def _ends(coverage: Coverage, axis: int) -> tuple[float, float]:
    """Where the first position begins and the last ends."""
    start = coverage.start[axis] - 0.5
    return start, start + coverage.seen.shape[axis]
