"""Procedural scenes where a label depends on a cue at a known distance, and on nothing nearer.

One square target of one texture lies in every scene, inside a square frame that is red or blue; its label
is that color. A pixel of the frame and one of the target are `distance` or more rows or columns apart, and
every scene is there twice, once with each color and otherwise equal in every pixel. So the windows that
reach less than `distance` to each side of a target's pixels are the same arrays for both labels: what sees
no more says the same in both scenes, and is right in one.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from atrous.config import suggestion
from atrous.data.folder import Sample
from atrous.data.labels import LabelSet
from atrous.data.scene_plan import BLUE, RED
from atrous.errors import DataError

PREFIX = "builtin:cues-"
"""What stands, with a distance in pixels behind it, for these scenes where a data set's path is expected."""

NUM_LAYOUTS = {"train": 64, "val": 8, "test": 16}
TARGET, FRAME, SLACK = 24, 6, 8  # px: side of the target, width of the frame, farthest shift from the middle
LARGEST = 400  # px of a distance; scenes are 876 px a side there
GROUND, DARK, LIGHT = (206, 200, 188), (84, 104, 88), (160, 176, 140)
GRAIN = 6.0  # gray levels

LABEL_SET = LabelSet(
    ("ground", "red frame", "blue frame", "target in red", "target in blue"),
    ((226, 222, 214), (158, 42, 43), (29, 78, 137), (240, 128, 110), (110, 176, 240)),
)
IN_RED, IN_BLUE = 3, 4  # labels of the target
CEILING = (3 + 1 / 3 + 1 / 3) / 5
"""The best mean IoU of what does not see the cue, all else perfect.

Over both scenes of a layout, n target pixels of each kind, let it call a share p of the target's pixels
red: the same ones in both scenes. IoU of red is pn / (n + 2pn - pn) = p / (1 + p), of blue
(1 - p) / (2 - p); their sum is largest at p = 1/2, with 1/3 each.
"""


@dataclass(frozen=True, slots=True)
class Cues:
    """A split of the scenes, drawn anew at every access; splits share no layout.

    Scenes 2i and 2i + 1 differ in the color of their frame and in their labels alone.

    Attributes:
        split: A key of `NUM_LAYOUTS`.
        distance: From the target to its cue, in pixels along an axis: between the nearest two, as numbers of
            rows or columns subtract.
        seed: Another seed, other scenes.

    Raises:
        DataError: If there is no such split, or the distance is not in 1 to `LARGEST`.
    """

    split: str
    distance: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in NUM_LAYOUTS:
            name = f"{PREFIX}{self.distance}"
            raise DataError(f'{name} has no split "{self.split}"; {suggestion(self.split, NUM_LAYOUTS)}')
        if not 1 <= self.distance <= LARGEST:
            raise DataError(f"cues are 1 to {LARGEST} px away, not {self.distance}; give such a distance")

    @property
    def label_set(self) -> LabelSet:
        """Names and colors of the five classes."""
        return LABEL_SET

    @property
    def side(self) -> int:
        """Height and width in pixels."""
        return TARGET + 2 * (self.distance + FRAME + SLACK)

    @property
    def sufficient_reach(self) -> int:
        """Pixels to each side from which every pixel of the target sees a pixel of the frame."""
        return self.distance + TARGET // 2 - 1

    def __len__(self) -> int:
        return 2 * NUM_LAYOUTS[self.split]

    def __getitem__(self, index: int) -> Sample:
        """The scene of that number.

        Raises:
            IndexError: If there are not so many.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}; the last is {len(self) - 1}")
        layout, turn = divmod(index, 2)
        generator = np.random.default_rng((self.seed, list(NUM_LAYOUTS).index(self.split), layout))
        row, column = (self.distance + FRAME + generator.integers(0, 2 * SLACK + 1, 2)).tolist()
        is_red = bool(generator.integers(2)) != bool(turn)
        canvas = np.empty((self.side, self.side, 3), np.float32)
        canvas[:] = GROUND
        inside = self._square(row, column, self.distance - 1)
        frame = self._square(row, column, self.distance - 1 + FRAME) & ~inside
        canvas[frame] = RED if is_red else BLUE
        target = self._square(row, column, 0)
        checks = np.add.outer(np.arange(self.side) // 3, np.arange(self.side) // 3) % 2
        canvas[target] = np.where(checks[target][:, None], DARK, LIGHT)
        canvas += np.float32(GRAIN) * generator.standard_normal((self.side, self.side, 1), np.float32)
        labels = np.zeros(target.shape, np.uint8)
        labels[frame], labels[target] = (1, IN_RED) if is_red else (2, IN_BLUE)
        return Sample(f"{self.split}_{index:03d}", np.clip(canvas, 0, 255).astype(np.uint8), labels)

    def _square(self, row: int, column: int, reach: int) -> Bool[np.ndarray, "h w"]:
        """What lies within that reach of the target whose first pixel is given."""
        square = np.zeros((self.side, self.side), bool)
        square[row - reach : row + TARGET + reach, column - reach : column + TARGET + reach] = True
        return square
