"""Explain every mistake in a data set, before any training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from atrous.data.check_report import Report
from atrous.errors import ConfigError
from atrous.jobs.progress import Job, Progress


@dataclass(frozen=True, slots=True)
class CheckConfig:
    """Read a data set and explain every mistake in it.

    Attributes:
        data: Folder of the data set.
        crop_size: Of images, height and width in pixels of training crops; with it, crops that show nothing
            are counted.
        quick: Look whether all files are there but read only a few, as `train` does before it starts.
        splits: Parts of the data to read; all unless given.
    """

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    crop_size: tuple[int, int] | None = None
    quick: bool = False
    splits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.crop_size is not None and min(self.crop_size) < 1:
            raise ConfigError(f"crop_size {self.crop_size} must be at least 1 x 1 pixel")


def run(config: CheckConfig) -> Job[Report]:
    """Check; yields progress, returns the report, whose exit code is 1 if it has errors.

    Raises:
        DataError: If the folder is missing, empty or of no known layout, or has no such split.
    """
    from atrous.data.check import check_each

    steps = check_each(config.data, splits=config.splits, quick=config.quick, crop_size=config.crop_size)
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            return stop.value
        yield Progress(step.done, step.total, f"check {step.split}")
