"""Receptive fields drawn to scale over an image, as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float, UInt8

from atrous.figures.report import picture_source

MARGIN = 14.0  # image pixels round everything drawn
INK, SHEET = "#1d2125", "#f1eee7"


@dataclass(frozen=True, slots=True)
class Field:
    """A receptive field: a square of `size` px, named and colored."""

    name: str
    size: int
    color: str


@dataclass(frozen=True, slots=True)
class Span:
    """A measured distance from one (row, column) to another, in pixels."""

    start: tuple[float, float]
    stop: tuple[float, float]
    text: str


def draw_receptive_fields(
    image: UInt8[np.ndarray, "h w 3"],
    fields: Sequence[Field],
    *,
    center: tuple[float, float],
    spans: Sequence[Span] = (),
) -> str:
    """The image under the squares that each network sees from one place, all in one scale.

    Args:
        image: RGB, 0-255.
        fields: Squares, which may be larger than the image.
        center: Row and column that the squares are centered on; pixel 0 covers 0 to 1.
        spans: Distances to draw.

    Returns:
        An `<svg>` element whose unit is a pixel of the image.
    """
    height, width = image.shape[:2]
    row, column = center
    reach = max(field.size for field in fields) / 2
    left, top = min(0.0, column - reach) - MARGIN, min(0.0, row - reach) - MARGIN
    right, bottom = max(width, column + reach) + MARGIN, max(height, row + reach) + MARGIN
    letters = (right - left) / 30
    parts = [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="100%" height="100%" fill="{SHEET}"/>',
        f'<image x="0" y="0" width="{width}" height="{height}" href="{picture_source(image)}"/>',
        *(_square(field, row, column, letters) for field in fields),
        *(_span(span, letters) for span in spans),
        f'<circle cx="{column:.1f}" cy="{row:.1f}" r="{letters / 6:.1f}" fill="white" stroke="{INK}"/>',
    ]
    names = ", ".join(f"{field.name} {field.size} px" for field in fields)
    view_box = f"{left:.1f} {top:.1f} {right - left:.1f} {bottom - top:.1f}"
    return (
        f'<svg viewBox="{view_box}" role="img" aria-label="receptive fields to scale: {escape(names)}" '
        f'font-family="system-ui, sans-serif">\n' + "\n".join(parts) + "\n</svg>"
    )


def tint(
    image: UInt8[np.ndarray, "h w 3"], strength: Float[np.ndarray, "h w"], color: str
) -> UInt8[np.ndarray, "h w 3"]:
    """The image faded to gray, colored where `strength` (0-1) says so.

    Args:
        image: RGB, 0-255.
        strength: 0 leaves the gray, 1 leaves the color.
        color: As `#rrggbb`.
    """
    gray = 255 - 0.45 * (255 - image.mean(2, keepdims=True))
    full = np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)])
    share = np.clip(strength, 0, 1)[..., None]
    return np.rint((1 - share) * gray + share * full).astype(np.uint8)


def _square(field: Field, row: float, column: float, letters: float) -> str:
    """A frame with its name in the upper left corner, inside where there is room and above where not."""
    left, top = column - field.size / 2, row - field.size / 2
    text = f"{field.name}: {field.size} px"
    roomy = field.size > letters * len(text) / 2
    x, y = (left + letters / 2, top + 1.4 * letters) if roomy else (left, top - 0.5 * letters)
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{field.size}" height="{field.size}" fill="none" '
        f'stroke="{field.color}" stroke-width="{letters / 6:.1f}"/>' + _text(text, x, y, letters, field.color)
    )


def _span(span: Span, letters: float) -> str:
    """A line with a stop at both ends and its length beside the middle."""
    (row, column), (end_row, end_column) = span.start, span.stop
    length = max(float(np.hypot(end_row - row, end_column - column)), 1e-6)
    down, across = (end_row - row) / length, (end_column - column) / length
    stops = [
        f"M{x - down * letters / 4:.1f} {y + across * letters / 4:.1f}"
        f"L{x + down * letters / 4:.1f} {y - across * letters / 4:.1f}"
        for y, x in (span.start, span.stop)
    ]
    path = f"M{column:.1f} {row:.1f}L{end_column:.1f} {end_row:.1f}{''.join(stops)}"
    x, y = (column + end_column + letters) / 2, (row + end_row) / 2 + letters / 3
    line = f'<path d="{path}" stroke="{INK}" stroke-width="{letters / 10:.2f}" fill="none"/>'
    return line + _text(span.text, x, y, letters, INK)


def _text(text: str, x: float, y: float, size: float, color: str) -> str:
    """Letters with a light rim, legible on any ground."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" font-weight="600" fill="{color}" '
        f'stroke="white" stroke-width="{size / 4:.1f}" stroke-linejoin="round" paint-order="stroke">'
        f"{escape(text)}</text>"
    )
