"""Data sets that are made, not read: what stands for them where a path is expected."""

from pathlib import Path

from atrous.data import cues, depth_scenes, flow_scenes, scenes
from atrous.data.cues import Cues
from atrous.data.samples import Samples
from atrous.data.scenes import Scenes
from atrous.errors import DataError

PREFIX = "builtin:"


def is_builtin(path: Path) -> bool:
    """Whether the path stands for made data; there may be none of that name."""
    return str(path).startswith(PREFIX)


def open_builtin(path: Path, split: str) -> Samples:
    """A split of made data.

    Raises:
        DataError: If there are none of that name, or there is no such split.
    """
    name = str(path)
    if name == scenes.PATH:
        return Scenes(split)
    distance = name.removeprefix(cues.PREFIX)
    if name.startswith(cues.PREFIX) and distance.isdecimal() and distance.isascii():
        return Cues(split, int(distance))
    raise DataError(
        f"{name} is not built in; give {scenes.PATH}, or {cues.PREFIX}DISTANCE such as {cues.PREFIX}40, or "
        f"{depth_scenes.PATH} or {flow_scenes.PATH} for regressions"
    )


def builtin_splits(path: Path) -> tuple[str, ...]:
    """Names of the splits of made data.

    Raises:
        DataError: If there are none of that name.
    """
    open_builtin(path, "train")
    return ("train", "val", "test")
