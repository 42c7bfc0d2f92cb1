"""The picture and the labels of a planned scene: anti-aliased shapes on a cloudy ground, with grain."""

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from atrous.data.labels import Color
from atrous.data.scene_plan import BLUE, CORE_LABEL, RED, RING_LABEL, RING_WIDTH, SIDE, Mark, Place, Plan

GROUND, CORE_DARK, CORE_LIGHT = (212, 204, 190), (70, 92, 74), (168, 182, 140)
CLOUDS = ((4, 9.0), (12, 5.0), (48, 4.0))  # cells a side, strength in gray levels
GRAIN = 5.0  # gray levels
TEXTURE_FREQUENCY = 0.9  # radians a pixel: 7 px a period

Canvas = Float32[np.ndarray, "h w 3"]
Layer = Float32[np.ndarray, "h w"]
Labels = UInt8[np.ndarray, "h w"]


def draw_scene(plan: Plan) -> tuple[UInt8[np.ndarray, "h w 3"], Labels]:
    """Image (RGB) and labels of a plan, both `SIDE` x `SIDE`."""
    generator = np.random.default_rng(plan.texture_seed)
    canvas = _ground(generator)
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for mark in plan.marks:
        _draw_mark(canvas, mark)
    for place, kind in zip(plan.places, plan.kinds, strict=True):
        _draw_core(canvas, labels, place, generator, label=CORE_LABEL[kind])
        if kind != "none":
            _draw_ring(canvas, labels, place, RED if kind == "red" else BLUE, label=RING_LABEL[kind])
    canvas += np.float32(GRAIN) * generator.standard_normal((SIDE, SIDE, 1), np.float32)
    return np.clip(canvas, 0, 255).astype(np.uint8), labels


def _ground(generator: np.random.Generator) -> Canvas:
    """A warm gray under soft clouds."""
    canvas = np.empty((SIDE, SIDE, 3), np.float32)
    canvas[:] = GROUND
    for cells, strength in CLOUDS:
        coarse = Image.fromarray(strength * generator.standard_normal((cells, cells), np.float32))
        canvas += np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))[..., None]
    return canvas


def _draw_mark(canvas: Canvas, mark: Mark) -> None:
    window, rows, columns = _window(mark.row, mark.column, mark.size + 2)
    if mark.num_sides == 0:
        _paint(canvas[window], mark.color, mark.size - np.hypot(rows, columns))
        return
    along = np.cos(mark.angle) * columns + np.sin(mark.angle) * rows
    if mark.num_sides == 2:
        across = np.cos(mark.angle) * rows - np.sin(mark.angle) * columns
        inside = np.minimum(mark.size - np.abs(along), mark.size / 3 - np.abs(across))
    else:
        angles = mark.angle + 2 * np.pi * np.arange(mark.num_sides) / mark.num_sides
        apothem = mark.size * np.cos(np.pi / mark.num_sides)
        sides = [np.cos(angle) * columns + np.sin(angle) * rows for angle in angles]
        inside = apothem - np.max(sides, axis=0)
    _paint(canvas[window], mark.color, inside.astype(np.float32))


def _draw_core(
    canvas: Canvas, labels: Labels, place: Place, generator: np.random.Generator, *, label: int
) -> None:
    """A disk of the one texture, turned at random."""
    window, rows, columns = _window(place.row, place.column, place.core_radius + 2)
    inside = place.core_radius - np.hypot(rows, columns)
    turn, phase, other_phase = generator.uniform(0, 2 * np.pi, 3).tolist()
    along = np.sin(TEXTURE_FREQUENCY * (rows * np.cos(turn) + columns * np.sin(turn)) + phase)
    across = np.sin(TEXTURE_FREQUENCY * (columns * np.cos(turn) - rows * np.sin(turn)) + other_phase)
    light = (0.5 + 0.5 * along * across)[..., None].astype(np.float32)
    color = (1 - light) * np.asarray(CORE_DARK, np.float32) + light * np.asarray(CORE_LIGHT, np.float32)
    _paint(canvas[window], color, inside)
    labels[window][inside > 0] = label


def _draw_ring(canvas: Canvas, labels: Labels, place: Place, color: Color, *, label: int) -> None:
    window, rows, columns = _window(place.row, place.column, place.ring_radius + RING_WIDTH)
    inside = np.float32(RING_WIDTH / 2) - np.abs(np.hypot(rows, columns) - np.float32(place.ring_radius))
    _paint(canvas[window], color, inside)
    labels[window][inside > 0] = label


def _window(row: float, column: float, reach: float) -> tuple[tuple[slice, slice], Layer, Layer]:
    """The part of the image within reach of a point, and the offsets of its pixels from the point."""
    row_slice, column_slice = (
        slice(max(0, int(center - reach)), min(SIDE, int(center + reach) + 2)) for center in (row, column)
    )
    rows, columns = (
        np.arange(part.start, part.stop, dtype=np.float32) - np.float32(center)
        for part, center in ((row_slice, row), (column_slice, column))
    )
    rows, columns = np.meshgrid(rows, columns, indexing="ij")
    return (row_slice, column_slice), rows, columns


def _paint(canvas: Canvas, color: Color | Canvas, inside: Layer) -> None:
    """Lay a color over part of the canvas, in place.

    `inside` is each pixel's distance from the outline, positive inside: its clamped value plus a half is the
    share of the pixel that the shape covers.
    """
    share = np.clip(inside + np.float32(0.5), 0, 1)[..., None]
    canvas += share * (np.asarray(color, np.float32) - canvas)
