"""What one output really reads of its receptive field: pictures of its holes, and what leaves them."""

import textwrap
from collections.abc import Mapping
from types import MappingProxyType

from matplotlib.figure import Figure, SubFigure

from atrous.figures.canvas import INK, MUTED
from atrous.figures.coverage_maps import common_scale, draw_bars, draw_key, draw_map
from atrous.geometry.axis import PLACES
from atrous.geometry.coverage import Coverage
from atrous.geometry.gridding import Gridding

PANELS = {1: (4.6, 2.6), 2: (3.8, 4.0), 3: (9.6, 5.4)}  # number of axes -> width and height, inches
WIDTH = 7.5  # inches, of all panels at least
MOST_IN_ROW = 4
AXES = {1: ("position",), 2: ("row", "column"), 3: ("slice", "row", "column")}
PLANES = {"slice": (1, 2), "row": (2, 0), "column": (0, 1)}  # of a volume: axis that is cut -> down, across


def draw_coverage(
    coverages: Mapping[str, Coverage], *, causes: Mapping[str, Gridding | None] = MappingProxyType({})
) -> Figure:
    """Which positions one output reads, and how often, side by side in one scale.

    Fields of one axis are bars; of two a map with its profiles, the sums over the other axis; of three the
    slices through the middle, and below each the profile of its axis across. Positions never read are white.

    Args:
        coverages: Name of a network -> what one of its outputs sees.
        causes: Name of a network -> what `find_gridding` says of it, for the caption.
    """
    rank = max(coverage.seen.ndim for coverage in coverages.values())
    columns = 1 if rank == 3 else min(len(coverages), MOST_IN_ROW)
    rows = -(-len(coverages) // columns)
    width, height = max(PANELS[rank][0], WIDTH / columns), PANELS[rank][1]
    captions = _captions(coverages, causes, letters=int(13.5 * width))
    height += 0.17 * (captions[0].count("\n") + 1)
    figure = Figure(figsize=(columns * width, rows * height + 1.3))
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.08)
    finding = textwrap.fill(_finding(coverages), int(9.5 * columns * width))
    left = 0.12 / (columns * width)
    figure.suptitle(finding, x=left, ha="left", color=INK, fontsize=12.5, parse_math=False)
    body, foot = figure.subfigures(2, 1, height_ratios=(rows * height, 0.7), squeeze=False)[:, 0]
    panels = body.subfigures(rows, columns, squeeze=False).ravel().tolist()
    scale = common_scale(list(coverages.values()))
    for panel, (name, coverage), caption in zip(panels, coverages.items(), captions, strict=False):
        panel.suptitle(name, color=INK, fontsize=11, fontweight="bold", parse_math=False)
        panel.supxlabel(caption, color=INK, fontsize=8.5, parse_math=False)
        _DRAW[coverage.seen.ndim](panel, coverage, scale)
    draw_key(foot, scale, has_map=rank > 1)
    return figure


def _draw_line(panel: SubFigure, coverage: Coverage, scale: tuple[float, float]) -> None:
    """Bars of one height in all panels."""
    axes = panel.add_subplot(xlabel=_axis_name(coverage, 0), ylabel="paths (1: evenly spread)")
    draw_bars(axes, coverage, axis=0, top=1.1 * scale[1])


def _draw_plane(panel: SubFigure, coverage: Coverage, scale: tuple[float, float]) -> None:
    """A map, the profile of its columns above it, of its rows beside it."""
    axes = panel.add_subplot(xlabel=_axis_name(coverage, 1), ylabel=_axis_name(coverage, 0))
    draw_map(axes, coverage, (0, 1), scale)
    above, beside = axes.inset_axes((0, 1.04, 1, 0.2)), axes.inset_axes((1.04, 0, 0.2, 1))
    draw_bars(above, coverage, axis=1)
    draw_bars(beside, coverage, axis=0, is_beside=True)
    above.set_axis_off()
    beside.set_axis_off()


def _draw_volume(panel: SubFigure, coverage: Coverage, scale: tuple[float, float]) -> None:
    """Slices through the middle, and below each the profile of its axis across."""
    grid = panel.subplots(2, 3, height_ratios=(3, 1))
    for (map_axes, bar_axes), (cut, plane) in zip(grid.T, PLANES.items(), strict=True):
        draw_map(map_axes, coverage, plane, scale)
        draw_bars(bar_axes, coverage, axis=plane[1])
        map_axes.set_title(f"the middle {cut}", color=MUTED, fontsize=9)
        map_axes.set_ylabel(_axis_name(coverage, plane[0]))
        bar_axes.set_xlabel(_axis_name(coverage, plane[1]))


_DRAW = {1: _draw_line, 2: _draw_plane, 3: _draw_volume}


def _axis_name(coverage: Coverage, axis: int) -> str:
    unit = f'cells of "{coverage.source.label}"' if coverage.source.inputs else PLACES[coverage.seen.ndim][1]
    return f"{AXES[coverage.seen.ndim][axis]}, {unit}"


def _captions(
    coverages: Mapping[str, Coverage], causes: Mapping[str, Gridding | None], *, letters: int
) -> list[str]:
    """Positions read, holes, and what leaves them; as many lines for each, so that the pictures align."""
    captions = []
    for name, coverage in coverages.items():
        number, holes = coverage.seen.size, int((~coverage.seen).sum())
        text = f"all {number:,} read, no holes"
        if holes:
            text = f"{number - holes:,} of {number:,} read ({100 * coverage.fraction:.1f}%), {holes:,} holes"
        cause = causes.get(name)
        if cause is not None:
            where = "" if holes else "Inside the network: "
            text = f"{text}\n{textwrap.fill(where + cause.explain(), letters)}"
        captions.append(text)
    lines = max(text.count("\n") for text in captions)
    return [text + "\n" * (lines - text.count("\n")) for text in captions]


def _finding(coverages: Mapping[str, Coverage]) -> str:
    """What the picture shows, in a sentence."""
    worst = min(coverages, key=lambda name: coverages[name].fraction)
    whole = [f'"{name}"' for name, coverage in coverages.items() if coverage.seen.all()]
    if coverages[worst].seen.all():
        return "No holes: one output reads every position of its field"
    text = f'Holes: one output of "{worst}" reads {100 * coverages[worst].fraction:.1f}% of its field'
    return f"{text}, of {' and '.join(whole)} all of it" if whole else text
