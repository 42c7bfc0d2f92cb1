"""A page that carries its style, pictures and charts in itself: one HTML file that loads nothing else.

Arguments named `html` are put into the page as they are; all other text is escaped.
"""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure
from PIL import Image

from atrous.data.labels import Color

STYLE = Path(__file__).with_suffix(".css")
FIRST, SECOND = "#b06a0b", "#0b6e69"  # ochre and teal: the two things that a report compares
JPEG_QUALITY = 90


def build_page(title: str, *, body_html: str) -> str:
    """The whole HTML document.

    Args:
        title: Name of the window.
        body_html: A header and sections; the style sheet beside this file names what they are made of.
    """
    colors = f":root {{ --first: {FIRST}; --second: {SECOND}; }}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>\n{colors}\n{STYLE.read_text(encoding='utf-8')}</style>\n"
        f"</head>\n<body>\n<main>\n{body_html}\n</main>\n</body>\n</html>\n"
    )


def picture(image: UInt8[np.ndarray, "h w 3"], alt: str) -> str:
    """An RGB image as an `<img>` that holds it."""
    return f'<img src="{picture_source(image)}" alt="{escape(alt)}">'


def picture_source(image: UInt8[np.ndarray, "h w 3"]) -> str:
    """An RGB image as the address of itself, in JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
    return _source(buffer.getvalue(), media_type="image/jpeg")


def chart(figure: Figure, alt: str) -> str:
    """A matplotlib figure as an `<img>` that holds it, as SVG with its letters drawn."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    source = _source(buffer.getvalue(), media_type="image/svg+xml")
    return f'<img src="{source}" alt="{escape(alt)}">'


def picture_grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of pictures, as HTML, under the names of their columns."""
    template = f"grid-template-columns: repeat({len(heads)}, minmax(0, 1fr))"
    names = "\n".join(f'<div class="head">{escape(head)}</div>' for head in heads)
    cells = "\n".join(f"<div>{html}</div>" for row in rows for html in row)
    return f'<div class="pictures" style="{template}">\n{names}\n{cells}\n</div>'


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, total: Sequence[str] = ()) -> str:
    """A table of HTML cells: names in the first column, numbers in the others, `total` below a line."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    lines = ["<tr>" + _cells(row) for row in rows]
    if total:
        lines.append('<tr class="total">' + _cells(total))
    body = "\n".join(lines)
    return (
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n'
        "</table></div>"
    )


def percent_with_bar(share: float, *, tone: str) -> str:
    """A share of 0-1 in percent, with a bar of that length in the "first" or "second" color."""
    bar = f'<span class="bar {tone}"><i style="width: {100 * share:.1f}%"></i></span>'
    return f"{100 * share:.1f}{bar}"


def swatch(name: str, color: Color) -> str:
    """A class's color and name."""
    red, green, blue = color
    return f'<span class="swatch" style="background: rgb({red} {green} {blue})"></span>{escape(name)}'


def legend(names: Sequence[str], palette: Sequence[Color]) -> str:
    """All colors and what they stand for."""
    entries = "".join(f"<li>{swatch(*entry)}</li>" for entry in zip(names, palette, strict=True))
    return f'<ul class="legend">{entries}</ul>'


def _cells(row: Sequence[str]) -> str:
    return "".join(f"<td>{html}</td>" for html in row) + "</tr>"


def _source(data: bytes, *, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"
