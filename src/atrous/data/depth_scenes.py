"""Procedural scenes with exact depth: boards that stand on textured ground, seen by a level camera.

A board's depth is that of the ground it stands on, `FOCAL * HEIGHT / (foot - horizon)`, and its size,
color and texture say nothing of it. So what does not see from a board's face down to its foot cannot know how
far it is. Where the ground is beyond `FARTHEST`, and in the sky, nothing is measured (NaN).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from atrous.config import suggestion
from atrous.data.labels import Color, LabelSet
from atrous.data.quantity import DEPTH, Measured, Quantity, Values
from atrous.data.smooth_noise import Waves, random_waves
from atrous.errors import DataError

PATH = "builtin:depth"
"""What stands for these scenes where the path of a data set is expected."""

NUM_SCENES = {"train": 300, "val": 24, "test": 96}
SIDE = 144  # px, of the square image
FOCAL = 144.0  # px: the camera sees 53 degrees
HEIGHT = 1.5  # m, of the camera above the ground
FARTHEST = 24.0  # m; what is beyond is not measured
HORIZONS = (30.0, 54.0)  # px from the top edge
FEET = (14.0, 64.0)  # px below the horizon: boards stand at 15.4 to 3.4 m
BOARD_SIDES = (32.0, 64.0)  # px, whatever the distance
BORDER = 12.0  # px from a board's middle to the image's left and right edge
NUM_BOARDS = (3, 6)  # from, up to
GRAIN = 4.0  # gray levels
GROUND, SKY = (176, 158, 128), (196, 214, 228)
BOARD_COLORS: tuple[Color, ...] = ((178, 92, 80), (88, 128, 158), (126, 140, 88), (150, 120, 160))


@dataclass(frozen=True, slots=True)
class Board:
    """An upright rectangle that faces the camera; all in pixels.

    Attributes:
        foot: Row of its lower edge.
        left: Column of its left edge.
        height: To its upper edge.
        width: To its right edge.
        color: RGB, before its texture.
        texture_seed: Of its waves.
    """

    foot: float
    left: float
    height: float
    width: float
    color: Color
    texture_seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a scene is drawn from: row of the horizon, boards from far to near, and the seed of the rest."""

    horizon: float
    boards: tuple[Board, ...]
    texture_seed: int


@dataclass(frozen=True, slots=True)
class DepthScenes:
    """A split of the scenes, drawn anew at every access; train, val and test never share a layout.

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
        """Depth in meters."""
        return DEPTH

    @property
    def label_set(self) -> LabelSet:
        """That of the quantity."""
        return DEPTH.label_set

    def __len__(self) -> int:
        return NUM_SCENES[self.split]

    def __getitem__(self, index: int) -> Measured:
        plan = self.plan(index)
        return Measured(f"{self.split}_{index:03d}", draw_image(plan), draw_depth(plan), DEPTH)

    def plan(self, index: int) -> Plan:
        """What the scene of that number is drawn from.

        Raises:
            IndexError: If there are not so many.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}; the last is {len(self) - 1}")
        return plan_scene(np.random.default_rng((self.seed, list(NUM_SCENES).index(self.split), index)))


def plan_scene(generator: np.random.Generator) -> Plan:
    """A random scene; the same state of the generator gives the same."""
    horizon = float(generator.uniform(*HORIZONS))
    feet = np.sort(generator.uniform(*FEET, generator.integers(*NUM_BOARDS)))
    boards = []
    for below in feet.tolist():
        height, width = generator.uniform(*BOARD_SIDES, 2).tolist()
        middle = float(generator.uniform(BORDER, SIDE - BORDER))
        color = BOARD_COLORS[generator.integers(len(BOARD_COLORS))]
        seed = int(generator.integers(2**32))
        boards.append(Board(horizon + below, middle - width / 2, height, width, color, seed))
    return Plan(horizon, tuple(boards), int(generator.integers(2**32)))


def depth_at(rows: np.ndarray | float, horizon: float) -> np.ndarray | np.float64:
    """Depth in meters of the ground seen in rows below the horizon; infinite from there up."""
    below = np.maximum(rows - horizon, 0)
    with np.errstate(divide="ignore"):
        return FOCAL * HEIGHT / below


def draw_depth(plan: Plan) -> Values:
    """Depth (1, h, w) at the middle of every pixel; NaN where nothing is measured."""
    rows, columns = _grid()
    depth = depth_at(rows, plan.horizon) + np.zeros_like(columns)
    depth[depth > FARTHEST] = np.nan
    for board in plan.boards:
        depth[_covers(board, rows, columns)] = depth_at(board.foot, plan.horizon)
    return depth[None].astype(np.float32)


def draw_image(plan: Plan) -> UInt8[np.ndarray, "h w 3"]:
    """The picture (RGB): every pixel has the color at its middle, of textures what is not too fine for it."""
    generator = np.random.default_rng(plan.texture_seed)
    rows, columns = _grid()
    canvas = _ground(plan, random_waves(generator, shortest=0.12, longest=1.2, number=16), rows, columns)
    for board in plan.boards:
        covered = _covers(board, rows, columns)
        painter = np.random.default_rng(board.texture_seed)
        longest = float(painter.uniform(8, 40))  # px; says nothing of the distance
        light = random_waves(painter, shortest=longest / 3, longest=longest, number=6)(rows, columns)
        canvas[covered] = (np.asarray(board.color, np.float32) + 14 * light[..., None])[covered]
    canvas += GRAIN * generator.standard_normal((SIDE, SIDE, 1))
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _ground(
    plan: Plan, texture: Waves, rows: np.ndarray, columns: np.ndarray
) -> Float32[np.ndarray, "h w 3"]:
    """Ground with a texture that is fixed to it, so it grows finer with the distance, and sky above."""
    is_ground = rows > plan.horizon
    depth = np.minimum(depth_at(rows, plan.horizon), 1e3)  # m; a number for every row
    across = (columns - SIDE / 2) * depth / FOCAL
    light = texture(depth, across, blur=0.5 * depth / FOCAL)  # m; half a pixel's width on the ground
    ground = np.asarray(GROUND, np.float32) + 30 * light[..., None]
    return np.where(is_ground[..., None], ground, np.asarray(SKY, np.float32)).astype(np.float32)


def _covers(board: Board, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    inside_rows = (rows <= board.foot) & (rows > board.foot - board.height)
    return inside_rows & (columns >= board.left) & (columns < board.left + board.width)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Row (h, 1) and column (1, w) of the middles of the pixels; the first are 0."""
    return np.arange(SIDE, dtype=np.float64)[:, None], np.arange(SIDE, dtype=np.float64)[None]
