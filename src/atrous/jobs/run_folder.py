"""The folder of a training run: what it holds, how it is written, and how a run goes on from it.

| file                   | what                                                                    |
|------------------------|-------------------------------------------------------------------------|
| recipe.toml            | everything the run was told                                             |
| provenance.json        | what else decides its weights: data, versions, machine, git             |
| model.safetensors      | the best network of the current stage, ready for `atrous predict`       |
| STAGE.safetensors      | the best network of a finished stage                                    |
| last.safetensors       | weights and optimizer of the last saved step, for --resume              |
| log.csv, curves.png    | loss, learning rate, speed and validation by step                       |
| tensorboard/           | the same for TensorBoard, on request                                    |
| .front_end_scores/     | as long as a context stage learns from them                             |
"""

import csv
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from atrous.checkpoint import Checkpoint, load_tensors, save_checkpoint, save_tensors
from atrous.data.labels import LabelSet
from atrous.errors import CheckpointError, OutputError
from atrous.files import remove_leftovers, write_atomically, write_text
from atrous.jobs.run_state import STATE_VERSION, Position, Row, State
from atrous.jobs.train import STAGES
from atrous.models.contract import normalization_of

FILES = (
    *("recipe.toml", "provenance.json", "model.safetensors", "last.safetensors", "log.csv", "curves.png"),
    *(f"{stage}.safetensors" for stage in STAGES),
)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names and files of one run."""

    path: Path

    @property
    def model(self) -> Path:
        """The checkpoint that users take away."""
        return self.path / "model.safetensors"

    @property
    def recipe(self) -> Path:
        """Everything the run was told."""
        return self.path / "recipe.toml"

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
        if any(path.exists() for path in (self.last, self.model, self.recipe)):
            raise OutputError(
                f"{self.path} holds a run already; add --resume to go on, or choose another --output"
            )

    def refuse_missing(self) -> None:
        """Make sure that there is a run to go on with: its recipe, if it was killed before its first save.

        Raises:
            CheckpointError: If there is none.
        """
        if not self.recipe.exists():
            raise CheckpointError(f"{self.path} holds no run to resume; leave out --resume to start")

    def begin(self, recipe: str) -> None:
        """Write recipe.toml unless it is there, and remove what a killed process left half written."""
        if not self.recipe.exists():
            write_text(self.recipe, recipe)
        remove_leftovers(self.path / name for name in FILES)

    def keep_provenance(self, provenance: Mapping[str, Any]) -> dict[str, Any] | None:
        """Write provenance.json unless it is there; what is there then, None if it is new or not readable."""
        path = self.path / "provenance.json"
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            write_text(path, json.dumps(provenance, indent=2) + "\n")
            return None
        return known if isinstance(known, dict) else None

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
        tensors, header = load_tensors(self.last)
        if header.get("state_version") not in (3, 4, STATE_VERSION):
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
