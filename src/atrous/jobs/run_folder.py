"""The folder of a training run: what it holds, how it is written, and how a run goes on from it.

| file                   | what                                                                    |
|------------------------|-------------------------------------------------------------------------|
| recipe.toml            | everything the run was told                                             |
| model.safetensors      | the best network of the current stage, ready for `atrous predict`       |
| STAGE.safetensors      | the best network of a finished stage                                    |
| last.safetensors       | weights and optimizer of the last saved step, for --resume              |
| log.csv, curves.png    | loss, learning rate, speed and validation by step                       |
| tensorboard/           | the same for TensorBoard, on request                                    |
| .front_end_scores/     | as long as a context stage learns from them                             |
"""

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from atrous.checkpoint import Checkpoint, load_tensors, save_checkpoint, save_tensors
from atrous.config import from_dict
from atrous.data.labels import LabelSet
from atrous.errors import CheckpointError, OutputError
from atrous.files import write_atomically, write_text
from atrous.jobs.task import AnyScores
from atrous.jobs.tasks import scores_of
from atrous.models.contract import AnyNormalization, normalization_of

STATE_VERSION = 4  # 3 had no CRF


@dataclass(frozen=True, slots=True)
class Row:
    """One line of log.csv.

    Attributes:
        step: Counted from the start of the run.
        stage: Name of the stage.
        loss: Mean since the row before.
        learning_rate: Of weights in pretrained layers.
        images_per_second: Of all processes, validation left out.
        waiting: Share of the time spent waiting for data.
        val_mean_iou: Where this step was validated.
        val_error: The same of a regression: absolute relative error of depth, end-point error of flow;
            of a generator of sound, the bits a sample.
    """

    step: int
    stage: str
    loss: float
    learning_rate: float
    images_per_second: float
    waiting: float
    val_mean_iou: float | None = None
    val_error: float | None = None


def _row_of(fields: dict[str, Any]) -> Row:
    """The inverse of `asdict`."""
    there = {name: value for name, value in fields.items() if value is not None}
    return from_dict(Row, there, source="a row of the log")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands.

    Attributes:
        stage: Name of the stage under way.
        step: Updates of that stage behind it.
        rows: The log so far.
        scores: On validation, of the best network of each stage so far.
    """

    stage: str
    step: int
    rows: tuple[Row, ...] = ()
    scores: Mapping[str, AnyScores] = field(default_factory=dict)

    @property
    def best(self) -> AnyScores | None:
        """Best on validation in this stage; None before the first."""
        return self.scores.get(self.stage)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "stage": self.stage,
            "step": self.step,
            "rows": [asdict(row) for row in self.rows],
            "scores": {stage: scores.to_dict() for stage, scores in self.scores.items()},
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Position":
        """The inverse of `to_dict`.

        Raises:
            LookupError, TypeError, ValueError, ...: If it was not written by that.
        """
        rows = tuple(_row_of(row) for row in fields["rows"])
        scores = {stage: scores_of(entry) for stage, entry in fields["scores"].items()}
        stage, step = fields["stage"], fields["step"]
        if type(stage) is not str or type(step) is not int or step < 0:
            raise ValueError(f"step {step!r} of stage {stage!r}")
        return cls(stage, step, rows, scores)


@dataclass(frozen=True, slots=True)
class State:
    """All that a resumed run needs besides its recipe and its data.

    Attributes:
        tensors: `network.*`, `optimizer.*`, `average.*` where the stage keeps one, and `crf.*` where the run
            trains one.
        position: Where the run stands.
        normalization: Of the network; its starting weights may have set it.
        label_set: The classes in the network's order; its starting weights may have set it.
        crf: Settings of the CRF, see `atrous.crf.stored`; empty without one.
    """

    tensors: dict[str, Tensor]
    position: Position
    normalization: AnyNormalization
    label_set: LabelSet
    crf: Mapping[str, Any] = field(default_factory=dict)

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of `name`, without that prefix."""
        prefix = f"{name}."
        return {
            key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)
        }


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

    @property
    def scores(self) -> Path:
        """Where the front end's scores are kept."""
        return self.path / ".front_end_scores"

    @property
    def events(self) -> Path:
        """What TensorBoard reads."""
        return self.path / "tensorboard"

    def stage_model(self, stage: str) -> Path:
        """The best network of a finished stage."""
        return self.path / f"{stage}.safetensors"

    def refuse_existing(self) -> None:
        """Keep an earlier run from being overwritten.

        Raises:
            OutputError: If there is one.
        """
        if any(path.exists() for path in (self.last, self.model, self.path / "recipe.toml")):
            raise OutputError(
                f"{self.path} holds a run already; add --resume to go on, or choose another --output"
            )

    def refuse_missing(self) -> None:
        """Make sure that there is a run to go on with.

        Raises:
            CheckpointError: If there is none.
        """
        if not self.last.exists():
            raise CheckpointError(
                f"{self.path} has no last.safetensors to resume; leave out --resume to start"
            )

    def write_recipe(self, text: str) -> None:
        """Write recipe.toml."""
        write_text(self.path / "recipe.toml", text)

    def save_model(self, checkpoint: Checkpoint) -> None:
        """Replace the best network."""
        save_checkpoint(self.model, checkpoint)

    def finish_stage(self, stage: str) -> None:
        """Keep the best network of the stage under its own name, and drop what only the stage needed."""
        write_atomically(self.stage_model(stage), lambda temporary: shutil.copyfile(self.model, temporary))
        shutil.rmtree(self.scores, ignore_errors=True)

    def save_state(self, state: State) -> None:
        """Write what a resumed run needs."""
        header = {
            "state_version": STATE_VERSION,
            "position": state.position.to_dict(),
            "normalization": state.normalization.to_dict(),
            "labels": state.label_set.to_dict(),
            "crf": dict(state.crf),
        }
        save_tensors(self.last, state.tensors, header)

    def load_state(self) -> State:
        """What `save_state` wrote.

        Raises:
            CheckpointError: If there is nothing to resume, or the file is broken.
        """
        self.refuse_missing()
        tensors, header = load_tensors(self.last)
        if header.get("state_version") not in (3, STATE_VERSION):
            raise CheckpointError(f"{self.last} was written by another version of atrous; start a new run")
        try:
            position = Position.from_dict(header["position"])
            normalization = normalization_of(header["normalization"])
            label_set = LabelSet.from_dict(header["labels"])
            crf = dict(header.get("crf", {}))
        except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(
                f"{self.last} says of its run what atrous did not write ({error}); start a new run"
            ) from error
        return State(tensors, position, normalization, label_set, crf)

    def write_log(self, rows: Sequence[Row]) -> None:
        """Write log.csv."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(Row.__dataclass_fields__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
        write_text(self.path / "log.csv", text.getvalue())

    def draw_curves(self) -> None:
        """Draw curves.png from log.csv."""
        from atrous.figures.canvas import save_figure
        from atrous.figures.curves import draw_curves, read_log

        save_figure(self.path / "curves.png", draw_curves(read_log(self.path / "log.csv")))
