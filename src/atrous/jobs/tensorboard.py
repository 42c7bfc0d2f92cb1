"""The log of a training run as TensorBoard events."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from atrous.errors import ConfigError
from atrous.jobs.run_state import Row

MEASURES = ("loss", "learning_rate", "images_per_second", "waiting", "val_mean_iou", "val_error")


@contextmanager
def tensorboard_events(folder: Path, *, last_step: int) -> Iterator[Callable[[Row], None]]:
    """A function that adds rows to the events in the folder.

    Args:
        folder: What TensorBoard reads.
        last_step: Rows beyond it, of a run that went on without saving, are hidden.

    Raises:
        ConfigError: If TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "tensorboard = true needs TensorBoard; pip install 'atrous[tensorboard]', or leave it out"
        ) from error

    def write(row: Row) -> None:
        for name, value in asdict(row).items():
            if name in MEASURES and value is not None:
                writer.add_scalar(name, value, row.step)

    with SummaryWriter(folder, purge_step=last_step + 1) as writer:
        yield write
