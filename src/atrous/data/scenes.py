"""Procedural scenes whose classes cannot be told through a small window.

Three cores of one texture lie in every scene: one inside a large red ring, one inside a large blue ring, one
alone. No ring comes nearer than `CLEARANCE` to a core, and every layout appears three times, with the rings
dealt out in turn: so what does not see the rings is right on exactly one core in three.
"""

from dataclasses import dataclass

import numpy as np

from atrous.config import suggestion
from atrous.data.folder import Sample
from atrous.data.labels import LabelSet
from atrous.data.scene_drawing import draw_scene
from atrous.data.scene_plan import KINDS, LABEL_SET, Plan, plan_scene
from atrous.errors import DataError

PATH = "builtin:scenes"
"""What stands for these scenes where the path of a data set is expected."""

NUM_LAYOUTS = {"train": 100, "val": 8, "test": 32}


@dataclass(frozen=True, slots=True)
class Scenes:
    """A split of the scenes, drawn anew at every access; train, val and test never share a layout.

    Scenes 3i, 3i + 1 and 3i + 2 are one layout with its rings dealt out in turn.

    Attributes:
        split: A key of `NUM_LAYOUTS`.
        seed: Another seed, other scenes.

    Raises:
        DataError: If there is no such split.
    """

    split: str
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in NUM_LAYOUTS:
            raise DataError(f'{PATH} has no split "{self.split}"; {suggestion(self.split, NUM_LAYOUTS)}')

    @property
    def label_set(self) -> LabelSet:
        """Names and colors of the six classes."""
        return LABEL_SET

    def __len__(self) -> int:
        return len(KINDS) * NUM_LAYOUTS[self.split]

    def __getitem__(self, index: int) -> Sample:
        image, labels = draw_scene(self.plan(index))
        return Sample(f"{self.split}_{index:03d}", image, labels)

    def plan(self, index: int) -> Plan:
        """What the scene of that number is drawn from.

        Raises:
            IndexError: If there are not so many.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}; the last is {len(self) - 1}")
        layout, turn = divmod(index, len(KINDS))
        generator = np.random.default_rng((self.seed, list(NUM_LAYOUTS).index(self.split), layout))
        return plan_scene(generator, turn=turn)
