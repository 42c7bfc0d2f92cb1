"""Where a network looks, on a photo: the effective receptive field inside the theoretical one."""

import math
import textwrap

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.patheffects import withStroke

from atrous.errors import ShapeError
from atrous.figures.canvas import GRID, INK, MUTED
from atrous.figures.depth import describe_size
from atrous.geometry.effective import EffectiveReceptiveField
from atrous.geometry.receptive_field import ReceptiveField

SHARE = 0.95  # of the mass, inside the circle
HEAT = ListedColormap(colormaps["inferno"](np.linspace(0.4, 1, 256)), "heat")  # from red to pale yellow
DIM, DIMMER = 0.75, 0.4  # brightness of the photo inside the theoretical box, and outside
OPACITY = 0.85  # of the greatest heat
SHEET = "#b4b8c0"  # round the photo, where the box is larger
RIM = [withStroke(linewidth=3, foreground="black")]  # keeps white lines and letters legible on any photo
SIDE = 7.0  # inches, the longer one of what is shown

Edges = tuple[tuple[float, float], tuple[float, float]]  # first and last of rows, and of columns, px


def draw_effective_field(
    image: UInt8[np.ndarray, "h w 3"],
    effective: EffectiveReceptiveField,
    *,
    field: ReceptiveField,
    name: str = "the network",
) -> Figure:
    """Where one output looks, over a photo: heat, a circle that holds 95% of it, and the theoretical box.

    The heat follows the square root of the mass, so that weak influence shows too.

    Args:
        image: RGB, 0-255, of the height and width that the field was measured at.
        effective: What moves the output.
        field: What the same layer reaches in theory.
        name: Of the network, for the title.

    Raises:
        ShapeError: If the image has another size than the field.
    """
    if image.shape[:2] != effective.mass.shape:
        raise ShapeError(
            f"the field was measured on {effective.mass.shape} px, and the image has {image.shape[:2]}; "
            "bring the image to the size of the example"
        )
    box, radius = _box(effective, field), effective.radius(SHARE)
    rows, columns = view = _view(image.shape[:2], box)
    scale = SIDE / max(rows[1] - rows[0], columns[1] - columns[0])
    width = max(scale * (columns[1] - columns[0]), 5.5) + 0.4
    finding = textwrap.fill(_finding(name, effective, field, box), int(10.5 * width))
    figure = Figure(figsize=(width, scale * (rows[1] - rows[0]) + 1.25 + 0.2 * finding.count("\n")))
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    figure.suptitle(finding, x=0.12 / width, ha="left", color=INK, fontsize=12.5, parse_math=False)
    axes = figure.add_subplot(xticks=(), yticks=(), facecolor=SHEET)
    axes.spines[:].set_visible(False)
    axes.imshow(_mix(_dimmed(image, box), np.sqrt(effective.mass / effective.mass.max())))
    axes.set_xlim(*columns)
    axes.set_ylim(*rows[::-1])
    _outline(axes, effective, radius, box=box, view=view)
    _draw_key(figure, axes)
    return figure


def heat_layer(mass: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 4"]:
    """The heat alone, to lay over a photo: red to pale yellow with the square root of the mass (RGBA)."""
    strength = np.sqrt(mass / mass.max())
    return np.round(255 * np.dstack([HEAT(strength)[..., :3], _share(strength)])).astype(np.uint8)


def _box(effective: EffectiveReceptiveField, field: ReceptiveField) -> Edges:
    """The edges of what the output reaches in theory; those of the image where it sees everything."""
    ends = field.box(effective.cell or 0)
    edges = [
        (low - 0.5, high + 0.5) if math.isfinite(high - low) else (-0.5, size - 0.5)
        for (low, high), size in zip(ends, effective.mass.shape, strict=True)
    ]
    return edges[0], edges[1]


def _view(size: tuple[int, ...], box: Edges) -> Edges:
    """The image and all of the box."""
    rows, columns = (
        (min(-0.5, low), max(high, pixels - 0.5)) for (low, high), pixels in zip(box, size, strict=True)
    )
    return rows, columns


def _dimmed(image: UInt8[np.ndarray, "h w 3"], box: Edges) -> Float[np.ndarray, "h w"]:
    """The photo in gray, 0-1, darker outside the box."""
    inside = [
        (np.arange(size) > low) & (np.arange(size) < high)
        for size, (low, high) in zip(image.shape, box, strict=False)
    ]
    return np.where(np.logical_and.outer(*inside), DIM, DIMMER) * image.mean(2) / 255


def _mix(gray: Float[np.ndarray, "h w"], strength: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Gray under heat, the stronger the less transparent."""
    share = _share(strength)[..., None]
    return (1 - share) * gray[..., None] + share * HEAT(strength)[..., :3]


def _share(strength: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Of the heat's color in a pixel."""
    return OPACITY * np.sqrt(strength)


def _outline(
    axes: Axes, effective: EffectiveReceptiveField, radius: float, *, box: Edges, view: Edges
) -> None:
    """The theoretical box in dashes, the circle in a line, each with its name beside it."""
    (top, bottom), (left, right) = box
    (first, last), _ = view
    line = {"fill": False, "edgecolor": "white", "linewidth": 1.6, "path_effects": RIM}
    axes.add_patch(
        Rectangle((left, top), right - left, bottom - top, linestyle=(0, (4, 3)), clip_on=False, **line)
    )
    row, column = effective.center
    axes.add_patch(Circle((column, row), radius, **line))
    text = {"color": "white", "fontsize": 10.5, "fontweight": "bold", "path_effects": RIM}
    letters = (last - first) / 20
    above = top - first > letters
    note = {
        "textcoords": "offset points",
        "xytext": (4, 4 if above else -5),
        "va": "bottom" if above else "top",
    }
    axes.annotate("what it could see", (left, top), **note, **text)
    below = min(row + radius, last - 1.5 * letters)
    axes.annotate(
        f"{SHARE:.0%} within {radius:.3g} px",
        (column, below),
        textcoords="offset points",
        xytext=(0, -5),
        ha="center",
        va="top",
        **text,
    )


def _draw_key(figure: Figure, axes: Axes) -> None:
    """What the heat means."""
    strengths = np.linspace(0, 1, 256)[None]
    heat = ListedColormap(_mix(np.full_like(strengths, DIM / 2), strengths)[0], "heat over gray")
    bar = figure.colorbar(
        ScalarMappable(cmap=heat), ax=axes, orientation="horizontal", shrink=0.5, aspect=30, pad=0.02
    )
    bar.set_ticks([0.0, 1.0], labels=["not at all", "most"])
    bar.set_label("how much a pixel moves the output", color=INK, fontsize=9)
    bar.outline.set_edgecolor(GRID)
    bar.ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=9, length=0)


def _finding(name: str, effective: EffectiveReceptiveField, field: ReceptiveField, box: Edges) -> str:
    """What the picture shows, in a sentence."""
    radius = effective.radius(SHARE)
    middles = [np.arange(low + 0.5, high) - at for (low, high), at in zip(box, effective.center, strict=True)]
    inside = np.add.outer(middles[0] ** 2, middles[1] ** 2) <= radius**2
    size = "the whole input" if any(field.sees_all) else describe_size(field.size)
    return (
        f"{name} could see {size}; {SHARE:.0%} of what moves it comes from {inside.mean():.0%} of that area"
    )
