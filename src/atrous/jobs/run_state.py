"""Where a training run stands: its log, its scores, and all that a resumed run needs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from atrous.config import from_dict
from atrous.data.labels import LabelSet
from atrous.jobs.task import AnyScores
from atrous.jobs.tasks import scores_of
from atrous.models.contract import AnyNormalization

STATE_VERSION = 5  # 4 was always validated where that was due; 3 had no CRF


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
        unvalidated: Whether validation is due at this step and was not finished.
    """

    stage: str
    step: int
    rows: tuple[Row, ...] = ()
    scores: Mapping[str, AnyScores] = field(default_factory=dict)
    unvalidated: bool = False

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
            "unvalidated": self.unvalidated,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Position":
        """The inverse of `to_dict`.

        Raises:
            LookupError, TypeError, ValueError, ...: If it was not written by that.
        """
        rows = tuple(_row_of(row) for row in fields["rows"])
        scores = {stage: scores_of(entry) for stage, entry in fields["scores"].items()}
        stage, step, unvalidated = fields["stage"], fields["step"], fields.get("unvalidated", False)
        if type(stage) is not str or type(step) is not int or step < 0 or type(unvalidated) is not bool:
            raise ValueError(f"step {step!r} of stage {stage!r}")
        return cls(stage, step, rows, scores, unvalidated)


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
