"""A page that carries its style, pictures and charts in itself: one HTML file that loads nothing else.

Arguments named `html` are put into the page as they are; all other text is escaped.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Section:
    """A headed part of the page."""

    title: str
    html: str


@dataclass(frozen=True, slots=True)
class Tile:
    """A number worth reading first.

    Attributes:
        value: The number.
        unit: Small, after it.
        text: What it is.
        tone: "first" or "second" in the color of the thing it belongs to, or "".
    """

    value: str
    unit: str
    text: str
    tone: str = ""


def build_page(title: str, *, kicker: str, lead_html: str, sections: Sequence[Section]) -> str:
    """The whole HTML document.

    Args:
        title: Heading, and name of the window.
        kicker: A few words above the heading.
        lead_html: What the reader should know after one paragraph, and what stands between it and the sections.
        sections: The rest, in order.
    """
    parts = "\n".join(
        f"<section>\n<h2>{escape(part.title)}</h2>\n{part.html}\n</section>" for part in sections
    )
    style = f":root {{ --first: {FIRST}; --second: {SECOND}; }}\n{STYLE.read_text(encoding='utf-8')}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f'<header>\n<p class="kicker">{escape(kicker)}</p>\n<h1>{escape(title)}</h1>\n{lead_html}\n</header>\n'
        f"{parts}\n</main>\n</body>\n</html>\n"
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


def figure_html(html: str, caption_html: str, *, style: str = "") -> str:
    """A picture with what it shows below it; `style` is a class of the style sheet."""
    attribute = f' class="{style}"' if style else ""
    return f"<figure{attribute}>\n{html}\n<figcaption>{caption_html}</figcaption>\n</figure>"


def columns(htmls: Sequence[str]) -> str:
    """Parts side by side where the window is wide enough."""
    return f'<div class="columns">\n{"".join(htmls)}\n</div>'


def picture_grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of pictures under the names of their columns."""
    template = f'style="grid-template-columns: repeat({len(heads)}, minmax(0, 1fr))"'
    names = "".join(f'<div class="head">{escape(head)}</div>' for head in heads)
    cells = "\n".join(f"<div>{cell}</div>" for row in rows for cell in row)
    return f'<div class="pictures" {template}>\n{names}\n{cells}\n</div>'


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, total: bool = False) -> str:
    """A table of HTML cells: names in the first column, numbers in the others; `total` marks the last row."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    marks = [' class="total"' if total and row is rows[-1] else "" for row in rows]
    body = "\n".join(
        f"<tr{mark}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
        for mark, row in zip(marks, rows, strict=True)
    )
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def facts(entries: Sequence[tuple[str, str]]) -> str:
    """Names and what stands for them, the latter as HTML."""
    rows = "\n".join(f"<tr><td>{escape(name)}</td><td>{html}</td></tr>" for name, html in entries)
    return f'<table class="facts">\n{rows}\n</table>'


def percent_with_bar(share: float, tone: str) -> str:
    """A share in percent, with a bar of that length."""
    bar = f'<span class="bar {tone}"><i style="width: {100 * min(max(share, 0), 1):.1f}%"></i></span>'
    return f"{100 * share:.1f}{bar}"


def tiles(entries: Sequence[Tile]) -> str:
    """The numbers worth reading first, side by side."""
    parts = [
        f'<div class="tile"><b class="{entry.tone}">{escape(entry.value)}<small>{escape(entry.unit)}</small></b>'
        f"<span>{escape(entry.text)}</span></div>"
        for entry in entries
    ]
    return f'<div class="tiles">\n{"".join(parts)}\n</div>'


def swatch(name: str, color: Color) -> str:
    """A class's color and name."""
    red, green, blue = color
    return f'<span class="swatch" style="background: rgb({red} {green} {blue})"></span>{escape(name)}'


def legend(names: Sequence[str], palette: Sequence[Color]) -> str:
    """All colors and what they stand for."""
    entries = "".join(f"<li>{swatch(name, color)}</li>" for name, color in zip(names, palette, strict=True))
    return f'<ul class="legend">{entries}</ul>'


def _source(data: bytes, *, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"
