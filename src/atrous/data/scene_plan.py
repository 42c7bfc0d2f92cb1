"""What a procedural scene is drawn from: where cores, rings and marks lie, and which core has which ring."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from atrous.data.labels import Color, LabelSet

SIDE = 240  # px, of the square image
CLEARANCE = (
    30.0  # px from a core to any ring; the corners of a square window of 21 px to each side lie at 29.7
)
RING_WIDTH = 9.0  # px
BORDER = 30  # px from a core's center to the edge of the image; rings may leave it

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


@dataclass(frozen=True, slots=True)
class Place:
    """Where a core lies and how large the ring round it is, or would be; all in pixels."""

    row: float
    column: float
    core_radius: float
    ring_radius: float  # to the middle of the band


@dataclass(frozen=True, slots=True)
class Mark:
    """A small thing that means nothing: a bar (2 sides), a triangle (3), a square (4), or a disk (0)."""

    row: float
    column: float
    size: float
    angle: float
    num_sides: int
    color: Color


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a scene is drawn from.

    Attributes:
        places: Of the three cores.
        marks: Distractors.
        texture_seed: Of all noise.
        kinds: Which ring lies round each core.
    """

    places: tuple[Place, ...]
    marks: tuple[Mark, ...]
    texture_seed: int
    kinds: tuple[Kind, ...]


def plan_scene(generator: np.random.Generator, *, turn: int = 0) -> Plan:
    """A random scene; the rings are dealt out last and depend on nothing else.

    Args:
        generator: Source of all randomness; the same state gives the same layout.
        turn: By how many cores the rings are moved on.
    """
    places = _place_cores(generator)
    marks = tuple(_random_mark(generator, places) for _ in range(generator.integers(10, 17)))
    texture_seed = int(generator.integers(2**32))
    kinds = tuple(KINDS[number] for number in np.roll(generator.permutation(len(KINDS)), turn))
    return Plan(places, marks, texture_seed, kinds)


def _place_cores(generator: np.random.Generator) -> tuple[Place, ...]:
    """Three places whose rings, were all of them drawn, would not touch each other."""
    core_radii = generator.uniform(15, 20, len(KINDS))
    ring_radii = core_radii + CLEARANCE + RING_WIDTH / 2 + 1 + generator.uniform(0, 6, len(KINDS))
    first, second = np.triu_indices(len(KINDS), 1)
    apart = ring_radii[first] + ring_radii[second] + RING_WIDTH + 2
    while True:
        centers = generator.uniform(BORDER, SIDE - BORDER, (256, len(KINDS), 2))
        distances = np.linalg.norm(centers[:, first] - centers[:, second], axis=2)
        fitting = np.flatnonzero((distances > apart).all(1))
        if len(fitting):
            rows, columns = centers[fitting[0]].T
            columns_of_numbers = (rows.tolist(), columns.tolist(), core_radii.tolist(), ring_radii.tolist())
            return tuple(Place(*numbers) for numbers in zip(*columns_of_numbers, strict=True))


def _random_mark(generator: np.random.Generator, places: tuple[Place, ...]) -> Mark:
    """A mark anywhere but on a core or where a ring may lie."""
    size = float(generator.uniform(2.5, 6))
    while True:
        row, column = generator.uniform(0, SIDE, 2).tolist()
        if all(_leaves_free(place, row, column, size + 2) for place in places):
            angle, num_sides = float(generator.uniform(0, np.pi)), int(generator.choice([0, 2, 3, 4]))
            color = MARK_COLORS[generator.integers(len(MARK_COLORS))]
            return Mark(row, column, size, angle, num_sides, color)


def _leaves_free(place: Place, row: float, column: float, reach: float) -> bool:
    """Whether something of that reach at that point touches neither core nor ring."""
    distance = float(np.hypot(row - place.row, column - place.column))
    on_ring = abs(distance - place.ring_radius) <= RING_WIDTH / 2 + reach
    return distance > place.core_radius + reach and not on_ring
