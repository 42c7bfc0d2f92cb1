"""How far networks see after each of their layers: several receptive fields in one picture."""

import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

from atrous.figures.canvas import BAND, BLUE, INK, ORANGE, tidy
from atrous.figures.growth import Growth, grow, pixels
from atrous.geometry.axis import PLACES
from atrous.geometry.receptive_field import ReceptiveField

_Dashes = str | tuple[float, tuple[float, ...]]
LOOKS: tuple[tuple[str, _Dashes, str], ...] = (  # of one network after another; told apart in gray too
    (BLUE, "-", "o"),
    (ORANGE, (0, (5, 2)), "s"),
    ("#0b6e69", (0, (6, 2, 1, 2)), "^"),
    ("#7a3e9d", (0, (1, 1.2)), "D"),
    ("#6b5b00", (0, (9, 3)), "v"),
)
LARGE_RATIO = 30  # between fields, above which an axis in equal steps hides the small ones
MOST_MARKED = 40  # layers; in a deeper network marks would touch
LINE_HEIGHT = 0.055  # of a line of text, in heights of the axes
LETTERS = 88  # of a line of the title


def draw_field_growth(fields: Mapping[str, ReceptiveField]) -> Figure:
    """Receptive field after each layer, one line a network; circles hold the stride where it changes.

    Layers are counted along the longest path; pointwise ones, such as activations and 1x1 convolutions, are
    left out. Where branches run side by side the line follows the widest, and small marks show the others.
    Where the axes differ, the widest is drawn.

    Args:
        fields: Name of a network -> what its output, or one of its layers, sees.
    """
    growths = {name: grow(field) for name, field in fields.items()}
    figure = Figure(figsize=(9, 5))
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    figure.suptitle(_finding(growths), x=0.015, ha="left", color=INK, fontsize=12.5, parse_math=False)
    axes = figure.add_subplot()
    tidy(axes)
    everything = _scale(axes, list(growths.values()))
    for number, growth in enumerate(growths.values()):
        _draw_line(axes, growth, LOOKS[number % len(LOOKS)], everything)
    _name_lines(axes, growths)
    has_strides = any(growth.strides for growth in growths.values())
    _, unit = PLACES[len(next(iter(fields.values())).stride)]
    note = f"; circled: the stride from there on, in input {unit}" if has_strides else ""
    axes.set_xlabel(f"layer (pointwise ones not counted{note})", color=INK, fontsize=10)
    axes.set_ylabel(f"receptive field, {unit}", color=INK, fontsize=10)
    return figure


def describe_size(size: tuple[float, ...]) -> str:
    """A size in pixels, samples or voxels, one number where all axes agree.

    >>> describe_size((15, 15)), describe_size((3, 9))
    ('15 px', '3 x 9 px')
    """
    sides = size[:1] if len(set(size)) == 1 else size
    return " x ".join(f"{side:g}" for side in sides) + f" {PLACES[len(size)][1]}"


def _scale(axes: Axes, growths: list[Growth]) -> float:
    """Set limits and ticks, with a band on top if something sees everything; the height of its middle."""
    sizes = [pixels(field) for growth in growths for field in growth.widest]
    largest, smallest = max(sizes), min((size for size in sizes if size > 1), default=1)
    if largest > LARGE_RATIO * smallest:
        axes.set_yscale("log")
        low, high, top = 0.8, 1.4 * largest, 3 * largest
        middle, marks = (high * top) ** 0.5, LogLocator(subs=(1, 2, 5))
    else:
        low, high, top = 0.0, 1.1 * largest, 1.26 * largest
        middle, marks = (high + top) / 2, MaxNLocator(8, steps=[1, 2, 5, 10], integer=True)
    ticks = {value: f"{value:g}" for value in marks.tick_values(1, largest) if low <= value <= high}
    if any(growth.all_from is not None for growth in growths):
        axes.axhspan(high, top, facecolor=BAND, edgecolor="#c3cad6", hatch="////", linewidth=0)
        ticks[middle] = "whole\ninput"
        high = top
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticklabels(list(ticks.values()))
    axes.set_xlim(0, 1.01 * max(1, *(len(growth.widest) - 1 for growth in growths)))
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    return middle


def _draw_line(axes: Axes, growth: Growth, look: tuple[str, _Dashes, str], everything: float) -> None:
    """The widest layers in a line, the others beside it, strides in circles, an arrow to everything."""
    color, dashes, mark = look
    sizes = [pixels(field) for field in growth.widest]
    beside = [(number, pixels(field)) for number, field in growth.layers if pixels(field) < sizes[number]]
    axes.plot(*np.array(beside).reshape(-1, 2).T, mark, color=color, markersize=3, alpha=0.5, zorder=2)
    line = {"color": color, "linestyle": dashes, "linewidth": 1.8, "zorder": 3}
    marks = mark if len(sizes) <= MOST_MARKED else ""
    axes.plot(range(len(sizes)), sizes, marker=marks, markersize=4.5, clip_on=False, **line)
    for number, stride in growth.strides.items():
        at = (number, sizes[number])
        axes.plot(*at, "o", markersize=13, color="white", markeredgecolor=color, clip_on=False, zorder=4)
        size = 8 if len(stride) < 3 else 6
        axes.annotate(stride, at, ha="center", va="center", color=color, fontsize=size, zorder=5)
    if growth.all_from is not None:
        at = (growth.all_from, sizes[growth.all_from])
        arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 1.4, "shrinkA": 6, "shrinkB": 0}
        axes.annotate("", xy=(growth.all_from, everything), xytext=at, arrowprops=arrow)
        axes.plot([growth.all_from, len(sizes) - 1], [everything] * 2, **line)


def _name_lines(axes: Axes, growths: Mapping[str, Growth]) -> None:
    """Name and size of each network, right of the axes, as near to the end of its line as there is room."""
    to_axes = axes.transScale + axes.transLimits
    names = []
    for number, (name, growth) in enumerate(growths.items()):
        end = (len(growth.widest) - 1, pixels(growth.widest[-1]))
        locally = "" if growth.all_from is None else " locally"
        text = f"{textwrap.fill(name, 24)}\n{describe_size(growth.field.local)}{locally}"
        names.append((float(to_axes.transform(end)[1]), end, text, LOOKS[number % len(LOOKS)][0]))
    names.sort()
    rooms = [LINE_HEIGHT * (text.count("\n") + 1.3) for _, _, text, _ in names]
    middles = _spread([height for height, *_ in names], rooms)
    for (_, end, text, color), middle in zip(names, middles, strict=True):
        thread = {"arrowstyle": "-", "color": color, "linewidth": 0.8, "linestyle": ":", "relpos": (0, 0.5)}
        axes.annotate(
            text,
            end,
            xytext=(1.03, middle),
            textcoords="axes fraction",
            va="center",
            color=color,
            fontsize=9.5,
            fontweight="bold",
            parse_math=False,
            arrowprops=thread,
        )


def _spread(heights: list[float], rooms: list[float]) -> list[float]:
    """Ascending heights moved apart, up and then down from the top, until each has its room."""
    middles, free_from, free_to = [], -1.0, 1.05
    for height, room in zip(heights, rooms, strict=True):
        middles.append(max(height, free_from + room / 2))
        free_from = middles[-1] + room / 2
    for number in reversed(range(len(middles))):
        middles[number] = min(middles[number], free_to - rooms[number] / 2)
        free_to = middles[number] - rooms[number] / 2
    return middles


def _finding(growths: Mapping[str, Growth]) -> str:
    """What the picture shows, in a sentence."""
    ranked = sorted(growths, key=lambda name: pixels(growths[name].field))
    near, far = growths[ranked[0]].field, growths[ranked[-1]].field
    everything = [name for name in growths if growths[name].all_from is not None]
    if len(ranked) == 1:
        sees = "sees the whole input, locally" if everything else "sees"
        depth = len(growths[ranked[0]].widest) - 1
        layers = f"{depth} layer{'s' * (depth != 1)}"
        return textwrap.fill(f"{ranked[0]} {sees} {describe_size(far.local)} after {layers}", LETTERS)
    if pixels(near) == pixels(far):
        text = f"All see {describe_size(far.local)}"
    else:
        times = f"{pixels(far) / pixels(near):.2g} times as far as {ranked[0]}"
        text = f"{ranked[-1]} sees {describe_size(far.local)}, {times}"
    if everything:
        who = "all" if len(everything) == len(growths) else " and ".join(everything)
        text += f"; {who} also see{'s' * (len(everything) == 1)} the whole input"
    return textwrap.fill(text, LETTERS)
