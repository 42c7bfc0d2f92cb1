"""The look that all charts share, and their way into PNGs: matplotlib's objects, none of its global state."""

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from atrous.files import write_atomically

INK, MUTED, GRID, BAND = "#222222", "#6b7280", "#e5e7eb", "#eef1f6"
BLUE, ORANGE = "#2563a8", "#c8562b"
DOTS_PER_INCH = 144


def tidy(axes: Axes) -> None:
    """Quiet frame, ticks and grid; changes the axes."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=9, length=3)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG, for a page that carries its pictures in itself."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor="white")
    return buffer.getvalue()


def save_figure(path: Path, figure: Figure) -> None:
    """Write the figure as a PNG; it appears whole or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    write_atomically(path, lambda temporary: temporary.write_bytes(to_png(figure)))


def save_figures(path: Path, figures: Sequence[Figure]) -> None:
    """Write figures below each other into one PNG; it appears whole or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    pictures = [Image.open(io.BytesIO(to_png(figure))).convert("RGB") for figure in figures]
    size = max(picture.width for picture in pictures), sum(picture.height for picture in pictures)
    sheet = Image.new("RGB", size, "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    write_atomically(path, lambda temporary: sheet.save(temporary, format="PNG"))
