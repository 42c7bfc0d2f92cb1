"""Procedural pairs of images with exact motion: plain disks with dots along the rim glide over dotted ground.

The face of a disk is plain, so its motion shows at the rim alone, up to `RADII[1]` pixels away from the
middle; what does not see the rim cannot know it.
Everything moves by a shift of its own, and all is drawn as functions of real coordinates, so the second image
is drawn and not warped: it is exact between pixels too.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from atrous.config import suggestion
from atrous.data.labels import Color, LabelSet
from atrous.data.quantity import FLOW, Measured, Quantity, Values
from atrous.errors import DataError

PATH = "builtin:flow"
"""What stands for these scenes where the path of a data set is expected."""

NUM_SCENES = {"train": 300, "val": 24, "test": 96}
SIDE = 128  # px, of the square images
LARGEST_SHIFT = 3.0  # px, on each axis
RADII = (36.0, 56.0)  # px
RIM = 6.0  # px from the outline to the middle of a disk's dots
SIGMA = 1.8  # px, of a dot
DOT = 80.0  # gray levels of its middle, lighter than the ground and darker than disks
SPACING = 16  # px: the ground has a dot in every square of that side
NUM_DISKS = (1, 4)  # from, up to
GRAIN = 2.0  # gray levels, other ones in each image
GROUND = (120, 116, 108)
DISK_COLORS: tuple[Color, ...] = ((196, 120, 96), (96, 140, 188), (146, 168, 100), (184, 150, 196))

Shift = tuple[float, float]
"""Motion to the right and down from the first image to the second, in pixels."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk in the first image, in pixels, and its motion; `turn` is the angle of its first dot."""

    row: float
    column: float
    radius: float
    shift: Shift
    color: Color
    num_dots: int
    turn: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pair is drawn from: motion of the ground, disks from the lowest to the topmost, a seed."""

    shift: Shift
    disks: tuple[Disk, ...]
    texture_seed: int


@dataclass(frozen=True, slots=True)
class FlowScenes:
    """A split of the pairs, drawn anew at every access; train, val and test never share a layout.

    Attributes:
        split: A key of `NUM_SCENES`.
        seed: Another seed, other scenes.

    Raises:
        DataError: If there is no such split.
    """

    split: str
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in NUM_SCENES:
            raise DataError(f'{PATH} has no split "{self.split}"; {suggestion(self.split, NUM_SCENES)}')

    @property
    def quantity(self) -> Quantity:
        """Flow in pixels."""
        return FLOW

    @property
    def label_set(self) -> LabelSet:
        """That of the quantity."""
        return FLOW.label_set

    def __len__(self) -> int:
        return NUM_SCENES[self.split]

    def __getitem__(self, index: int) -> Measured:
        plan = self.plan(index)
        return Measured(f"{self.split}_{index:03d}", draw_pair(plan), draw_flow(plan), FLOW)

    def plan(self, index: int) -> Plan:
        """What the pair of that number is drawn from.

        Raises:
            IndexError: If there are not so many.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}; the last is {len(self) - 1}")
        return plan_scene(np.random.default_rng((self.seed, list(NUM_SCENES).index(self.split), index)))


def plan_scene(generator: np.random.Generator) -> Plan:
    """A random pair; the same state of the generator gives the same."""
    disks = []
    for _ in range(generator.integers(*NUM_DISKS)):
        row, column = generator.uniform(0, SIDE, 2).tolist()
        color = DISK_COLORS[generator.integers(len(DISK_COLORS))]
        radius, dots = float(generator.uniform(*RADII)), int(generator.integers(12, 19))
        turn = float(generator.uniform(0, 2 * np.pi))
        disks.append(Disk(row, column, radius, _random_shift(generator), color, dots, turn))
    return Plan(_random_shift(generator), tuple(disks), int(generator.integers(2**32)))


def draw_flow(plan: Plan) -> Values:
    """Motion (2, h, w), right and down, of what is seen at every pixel of the first image."""
    on_top = topmost(plan, time=0)
    shifts = np.array([plan.shift, *(disk.shift for disk in plan.disks)])  # (n, 2)
    return shifts[on_top + 1].transpose(2, 0, 1).astype(np.float32)


def topmost(plan: Plan, *, time: int) -> np.ndarray:
    """Number of the disk that is seen at each pixel of the image at time 0 or 1, (h, w); -1 is the ground."""
    on_top = np.full((SIDE, SIDE), -1)
    for number, disk in enumerate(plan.disks):
        on_top[_distance(disk, time) <= disk.radius] = number
    return on_top


def occluded(plan: Plan) -> Bool[np.ndarray, "h w"]:
    """Pixels of the first image of which the second shows nothing: hidden there, or outside of it.

    What hides a point is asked where the point goes, between pixels.
    """
    rows, columns = _grid()
    u, v = draw_flow(plan).astype(np.float64)
    there = rows + v, columns + u
    seen_there = np.full((SIDE, SIDE), -1)
    for number, disk in enumerate(plan.disks):
        center = disk.row + disk.shift[1], disk.column + disk.shift[0]
        seen_there[np.hypot(there[0] - center[0], there[1] - center[1]) <= disk.radius] = number
    outside = (np.minimum(*there) < 0) | (np.maximum(*there) > SIDE - 1)
    return outside | (seen_there != topmost(plan, time=0))


def draw_pair(plan: Plan) -> UInt8[np.ndarray, "h w 6"]:
    """Both pictures, RGB each, the second behind the first."""
    grain = np.random.default_rng((plan.texture_seed, 1))
    pictures = [
        draw_exact(plan, time=time) + GRAIN * grain.standard_normal((SIDE, SIDE, 1)) for time in (0, 1)
    ]
    return np.clip(np.concatenate(pictures, axis=2), 0, 255).astype(np.uint8)


def draw_exact(plan: Plan, *, time: int) -> Float[np.ndarray, "h w 3"]:
    """The picture at time 0 or 1 without grain and rounding: the color at the middle of every pixel."""
    generator = np.random.default_rng(plan.texture_seed)
    canvas = np.tile(np.asarray(GROUND, np.float64), (SIDE, SIDE, 1))
    for row, column in _ground_dots(generator):
        _draw_dot(canvas, row + time * plan.shift[1], column + time * plan.shift[0], DOT)
    for disk in plan.disks:
        _draw_disk(canvas, disk, time)
    return canvas


def _ground_dots(generator: np.random.Generator) -> np.ndarray:
    """Row and column of each dot of the ground at time 0, one in every square of a grid that is larger."""
    cells = np.arange(-1, SIDE // SPACING + 1)
    corners = np.stack(np.meshgrid(cells, cells, indexing="ij"), axis=-1).reshape(-1, 2)
    return SPACING * (corners + generator.uniform(0.15, 0.85, corners.shape))


def _draw_disk(canvas: np.ndarray, disk: Disk, time: int) -> None:
    """A plain face and dots along the rim, in place."""
    face = np.broadcast_to(np.asarray(disk.color, np.float64), canvas.shape).copy()
    row, column = disk.row + time * disk.shift[1], disk.column + time * disk.shift[0]
    for angle in disk.turn + 2 * np.pi * np.arange(disk.num_dots) / disk.num_dots:
        reach = disk.radius - RIM
        _draw_dot(face, row + reach * np.sin(angle), column + reach * np.cos(angle), -DOT)
    share = np.clip(disk.radius - _distance(disk, time) + 0.5, 0, 1)[..., None]
    canvas += share * (face - canvas)


def _draw_dot(canvas: np.ndarray, row: float, column: float, strength: float) -> None:
    """Add a Gaussian of that many gray levels, in place; what lies beyond 4 sigma is left out."""
    parts = tuple(
        slice(max(0, int(np.ceil(center - 4 * SIGMA))), max(0, int(np.floor(center + 4 * SIGMA)) + 1))
        for center in (row, column)
    )
    rows, columns = (part[parts[axis]] for axis, part in enumerate((_grid()[0][:, 0], _grid()[1][0])))
    squares = np.square(rows - row)[:, None] + np.square(columns - column)
    canvas[parts] += strength * np.exp(-0.5 * squares / SIGMA**2)[..., None]


def _distance(disk: Disk, time: int) -> np.ndarray:
    """Of every pixel from the disk's middle at time 0 or 1, in pixels."""
    rows, columns = _grid()
    return np.hypot(rows - disk.row - time * disk.shift[1], columns - disk.column - time * disk.shift[0])


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Row (h, 1) and column (1, w) of the middles of the pixels; the first are 0."""
    return np.arange(SIDE, dtype=np.float64)[:, None], np.arange(SIDE, dtype=np.float64)[None]


def _random_shift(generator: np.random.Generator) -> Shift:
    right, down = generator.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, 2).tolist()
    return right, down
