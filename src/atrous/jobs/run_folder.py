"""The folder of a training run: what it holds, how it is written, and how a run goes on from it.

| file                   | what                                                                    |
|------------------------|-------------------------------------------------------------------------|
| recipe.toml            | everything the run was told                                             |
| model.safetensors      | the best network of the current stage, ready for `atrous predict`       |
| STAGE.safetensors      | the best network of a finished stage                                    |
| last.safetensors       | weights and optimizer of the last saved step, for --resume              |
| log.csv, curves.png    | loss, learning rate, speed and validation by step                       |
"""

import csv
import io
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from atrous.checkpoint import Checkpoint, load_tensors, save_checkpoint, save_tensors
from atrous.errors import CheckpointError, OutputError
from atrous.files import write_atomically

STATE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One line of log.csv; `step` counts from the start of the run, `waiting` is the share of time spent waiting for data."""

    step: int
    stage: str
    loss: float
    learning_rate: float
    images_per_second: float
    waiting: float
    val_mean_iou: float | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands.

    Attributes:
        stage: Name of the stage under way.
        step: Updates of that stage behind it.
        best_mean_iou: Best on validation in this stage; -1 before the first.
        rows: The log so far.
    """

    stage: str
    step: int
    best_mean_iou: float = -1.0
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names and files of one run."""

    path: Path

    @property
    def model(self) -> Path:
        """The checkpoint that users take away."""
        return self.path / "model.safetensors"

    @property
    def last(self) -> Path:
        """What `--resume` reads."""
        return self.path / "last.safetensors"

    def stage_model(self, stage: str) -> Path:
        """The best network of a finished stage."""
        return self.path / f"{stage}.safetensors"

    def refuse_existing(self) -> None:
        """Keep an earlier run from being overwritten.

        Raises:
            OutputError: If there is one.
        """
        if self.last.exists() or self.model.exists():
            raise OutputError(
                f"{self.path} holds a run already; add --resume to go on, or choose another --output"
            )

    def write_recipe(self, text: str) -> None:
        """Write recipe.toml."""
        write_atomically(
            self.path / "recipe.toml", lambda temporary: temporary.write_text(text, encoding="utf-8")
        )

    def save_model(self, checkpoint: Checkpoint) -> None:
        """Replace the best network."""
        save_checkpoint(self.model, checkpoint)

    def finish_stage(self, stage: str) -> None:
        """Keep the best network of the stage under its own name."""
        write_atomically(self.stage_model(stage), lambda temporary: shutil.copyfile(self.model, temporary))

    def save_state(self, tensors: dict[str, Tensor], position: Position) -> None:
        """Write what a resumed run needs."""
        save_tensors(self.last, tensors, {"state_version": STATE_VERSION, "position": asdict(position)})

    def load_state(self) -> tuple[dict[str, Tensor], Position]:
        """What `save_state` wrote.

        Raises:
            CheckpointError: If there is nothing to resume, or the file is broken.
        """
        if not self.last.exists():
            raise CheckpointError(
                f"{self.path} has no last.safetensors to resume; leave out --resume to start"
            )
        tensors, header = load_tensors(self.last)
        if header.get("state_version") != STATE_VERSION:
            raise CheckpointError(f"{self.last} was written by another version of atrous; start a new run")
        fields: dict[str, Any] = header["position"]
        rows = tuple(Row(**row) for row in fields.pop("rows"))
        return tensors, Position(**fields, rows=rows)

    def write_log(self, rows: Sequence[Row]) -> None:
        """Write log.csv and draw curves.png."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(Row.__dataclass_fields__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
        write_atomically(
            self.path / "log.csv", lambda temporary: temporary.write_text(text.getvalue(), encoding="utf-8")
        )
