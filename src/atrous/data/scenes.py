"""Procedural scenes whose classes cannot be told through a small window.

Three cores of one texture lie in every scene: one inside a large red ring, one inside a large blue ring, one
alone. The ring stays `CLEARANCE` away, so a window of that half width on a core never shows it, and since ring
colors are dealt out after everything else is drawn, such windows look alike for all three classes, exactly.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from atrous.config import suggestion
from atrous.data.folder import Sample
from atrous.data.labels import LabelSet
from atrous.errors import DataError

PATH = "builtin:scenes"
"""What stands for these scenes where a folder is expected."""

SIDE = 240  # px, of the square image
CLEARANCE = 30.0  # px from a core to the nearest pixel of any ring; a window of +-20 px has its corner at 28.3
RING_WIDTH = 7.0  # px
NUM_SAMPLES = {"train": 256, "val": 32, "test": 64}

LABEL_SET = LabelSet(
    names=("ground", "red ring", "blue ring", "core in red", "core in blue", "core alone"),
    palette=((226, 222, 214), (158, 42, 43), (29, 78, 137), (240, 128, 110), (110, 176, 240), (242, 196, 80)),
)

Kind = Literal["red", "blue", "none"]
KINDS: tuple[Kind, ...] = ("red", "blue", "none")
RING_LABEL: dict[Kind, int] = {"red": 1, "blue": 2}
CORE_LABEL: dict[Kind, int] = {"red": 3, "blue": 4, "none": 5}

RED, BLUE, OCHRE, CHARCOAL = (188, 66, 56), (52, 102, 172), (200, 150, 62), (86, 84, 82)
MARK_COLORS = (RED, BLUE, OCHRE, CHARCOAL)
GROUND, CORE_DARK, CORE_LIGHT = (212, 204, 190), (70, 92, 74), (168, 182, 140)

Canvas = Float32[np.ndarray, "h w 3"]
Layer = Float32[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a core lies and how large a ring round it is; all in pixels."""

    row: float
    column: float
    core_radius: float
    ring_radius: float  # to the middle of the band


@dataclass(frozen=True, slots=True)
class Mark:
    """A small disk, bar or triangle that means nothing: ground."""

    row: float
    column: float
    size: float
    angle: float
    num_sides: int
    color: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a scene is drawn from.

    Attributes:
        places: Of the three cores.
        kinds: Which ring lies round each of them.
        marks: Distractors.
        texture_seed: Of all noise.
    """

    places: tuple[Place, ...]
    kinds: tuple[Kind, ...]
    marks: tuple[Mark, ...]
    texture_seed: int


@dataclass(frozen=True, slots=True)
class Scenes:
    """A split of the scenes, drawn anew at every access; `train`, `val` and `test` never share one.

    Attributes:
        split: A key of `NUM_SAMPLES`.
        seed: Another seed, other scenes.

    Raises:
        DataError: If there is no such split.
    """

    split: str
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in NUM_SAMPLES:
            raise DataError(f'{PATH} has no split "{self.split}"; {suggestion(self.split, NUM_SAMPLES)}')

    @property
    def label_set(self) -> LabelSet:
        """Names and colors of the six classes."""
        return LABEL_SET

    def __len__(self) -> int:
        return NUM_SAMPLES[self.split]

    def __getitem__(self, index: int) -> Sample:
        image, labels = draw_scene(self.plan(index))
        return Sample(f"{self.split}_{index:03d}", image, labels)

    def plan(self, index: int) -> Plan:
        """What the scene of that number is drawn from.

        Raises:
            IndexError: If there are not so many.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}")
        return plan_scene(np.random.default_rng((self.seed, list(NUM_SAMPLES).index(self.split), index)))


def plan_scene(generator: np.random.Generator) -> Plan:
    """A random scene; the kinds are drawn last and depend on nothing else."""
    places = _place_cores(generator)
    marks = tuple(_random_mark(generator, places) for _ in range(generator.integers(10, 17)))
    texture_seed = int(generator.integers(2**32))
    kinds = tuple(KINDS[number] for number in generator.permutation(len(KINDS)))
    return Plan(places, kinds, marks, texture_seed)


def draw_scene(plan: Plan) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
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
    canvas += 5 * generator.standard_normal((SIDE, SIDE, 1), np.float32)
    return np.clip(canvas, 0, 255).astype(np.uint8), labels


def _place_cores(generator: np.random.Generator) -> tuple[Place, ...]:
    """Three places whose rings, were all drawn, would not touch each other; a ring may leave the image."""
    core_radii = generator.uniform(14, 19, len(KINDS))
    ring_radii = core_radii + CLEARANCE + RING_WIDTH / 2 + 1 + generator.uniform(0, 6, len(KINDS))
    first, second = np.triu_indices(len(KINDS), 1)
    apart = ring_radii[first] + ring_radii[second] + RING_WIDTH + 2
    while True:
        centers = generator.uniform(30, SIDE - 30, (256, len(KINDS), 2))
        distances = np.hypot(*np.moveaxis(centers[:, first] - centers[:, second], 2, 0))
        fitting = np.flatnonzero((distances > apart).all(1))
        if len(fitting):
            chosen = centers[fitting[0]]
            return tuple(Place(*map(float, place)) for place in zip(*chosen.T, core_radii, ring_radii, strict=True))


def _random_mark(generator: np.random.Generator, places: tuple[Place, ...]) -> Mark:
    """A mark anywhere but on a core or where a ring may be."""
    size = float(generator.uniform(2.5, 6))
    while True:
        row, column = generator.uniform(0, SIDE, 2)
        distances = [float(np.hypot(row - place.row, column - place.column)) for place in places]
        free = all(
            distance > place.core_radius + size + 2 and abs(distance - place.ring_radius) > RING_WIDTH / 2 + size + 2
            for distance, place in zip(distances, places, strict=True)
        )
        if free:
            num_sides = int(generator.choice([2, 3, 4, 32]))
            color = MARK_COLORS[generator.integers(len(MARK_COLORS))]
            return Mark(float(row), float(column), size, float(generator.uniform(0, np.pi)), num_sides, color)


def _ground(generator: np.random.Generator) -> Canvas:
    """A warm gray with soft clouds."""
    clouds = sum(
        strength * _clouds(generator, cells) for cells, strength in ((4, 9.0), (12, 5.0), (48, 4.0))
    )
    return np.asarray(GROUND, np.float32) + clouds[..., None]


def _clouds(generator: np.random.Generator, cells: int) -> Layer:
    """Smooth noise of unit strength with that many cells a side."""
    coarse = Image.fromarray(generator.standard_normal((cells, cells), np.float32))
    return np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _draw_mark(canvas: Canvas, mark: Mark) -> None:
    window, rows, columns = _window(mark.row, mark.column, mark.size + 2)
    angles = mark.angle + 2 * np.pi * np.arange(mark.num_sides) / mark.num_sides
    apothem = mark.size * (np.cos(np.pi / mark.num_sides) if mark.num_sides > 2 else 0.35)
    outside = np.max([rows * np.sin(angle) + columns * np.cos(angle) for angle in angles], axis=0) - apothem
    if mark.num_sides == 2:  # a bar: two long sides, cut at both ends
        outside = np.maximum(outside, np.abs(columns * np.sin(mark.angle) - rows * np.cos(mark.angle)) - mark.size)
    _paint(canvas[window], mark.color, _coverage(-outside))


def _draw_core(
    canvas: Canvas, labels: np.ndarray, place: Place, generator: np.random.Generator, *, label: int
) -> None:
    """A disk of the one texture, turned at random."""
    window, rows, columns = _window(place.row, place.column, place.core_radius + 2)
    inside = place.core_radius - np.hypot(rows, columns)
    turn, phase, other_phase = generator.uniform(0, 2 * np.pi, 3)
    along = np.sin(0.9 * (rows * np.cos(turn) + columns * np.sin(turn)) + phase)
    across = np.sin(0.9 * (columns * np.cos(turn) - rows * np.sin(turn)) + other_phase)
    light = (0.5 + 0.5 * along * across)[..., None].astype(np.float32)
    color = (1 - light) * np.asarray(CORE_DARK, np.float32) + light * np.asarray(CORE_LIGHT, np.float32)
    _paint(canvas[window], color, _coverage(inside))
    labels[window][inside > 0] = label


def _draw_ring(
    canvas: Canvas, labels: np.ndarray, place: Place, color: tuple[int, int, int], *, label: int
) -> None:
    window, rows, columns = _window(place.row, place.column, place.ring_radius + RING_WIDTH)
    inside = RING_WIDTH / 2 - np.abs(np.hypot(rows, columns) - place.ring_radius)
    _paint(canvas[window], color, _coverage(inside))
    labels[window][inside > 0] = label


def _window(row: float, column: float, reach: float) -> tuple[tuple[slice, slice], Layer, Layer]:
    """The part of the image within reach of a point, and the offsets of its pixels from the point."""
    row_slice, column_slice = (
        slice(max(0, int(center - reach)), min(SIDE, int(center + reach) + 2)) for center in (row, column)
    )
    rows = np.arange(row_slice.start, row_slice.stop, dtype=np.float32)[:, None] - np.float32(row)
    columns = np.arange(column_slice.start, column_slice.stop, dtype=np.float32)[None] - np.float32(column)
    rows, columns = np.broadcast_arrays(rows, columns)
    return (row_slice, column_slice), rows, columns


def _coverage(inside: Layer) -> Layer:
    """Share of a pixel that a shape covers, from the pixel's distance inside its outline."""
    return np.clip(inside + np.float32(0.5), 0, 1)


def _paint(canvas: Canvas, color: object, coverage: Layer) -> None:
    """Lay a color over part of the canvas, in place."""
    share = coverage[..., None]
    canvas += share * (np.asarray(color, np.float32) - canvas)
