"""Score a checkpoint on a data set."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from atrous.jobs.crf_settings import describe, settings_of
from atrous.jobs.inference_settings import DEFAULT_CHECKPOINT, InferenceSettings, note_on_bundled
from atrous.jobs.progress import Job, Progress

if TYPE_CHECKING:
    from atrous.jobs.task import AnyScores


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """Score a checkpoint on a data set.

    Attributes:
        data: Folder of the data set, of images, volumes or sounds, or builtin:scenes, builtin:cues-40,
            builtin:depth, builtin:flow.
        checkpoint: Made by `atrous train` or `atrous import`; unless given, the bundled network for streets,
            with the classes of CamVid.
        split: Part of it, such as val, or fold0of10, the first tenth of the split train.
        output: Folder for scores.json, scores.txt, and confusion.png or, of a regression, errors.png; nothing
            is written without it.
        inference: How the network is asked.
    """

    data: Path
    checkpoint: Path = DEFAULT_CHECKPOINT
    split: str = "val"
    output: Annotated[Path | None, arg(aliases=("-o",))] = None
    inference: Annotated[InferenceSettings, arg(name="")] = field(default_factory=InferenceSettings)


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """Scores, ready to show, and the settings of the CRF that was applied, if any."""

    scores: "AnyScores"
    crf: dict[str, Any] | None = None
    exit_code: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The scores by name, ready for JSON, and `crf`."""
        return {**self.scores.to_dict(), "crf": self.crf}

    def to_table(self) -> str:
        """The scores as text, and the CRF's settings on a line."""
        applied = "" if self.crf is None else f"\nrefined by a CRF: {describe(self.crf)}"
        return f"{self.scores.to_table()}{applied}"


def run(config: EvaluateConfig) -> Job[EvaluateResult]:
    """Evaluate; yields progress, returns the scores.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
        ConfigError: If the protocol is impossible.
        DataError: If the data cannot be read or has other classes.
        OutputError: If the output cannot be written.
    """
    from atrous.jobs.tasks import open_samples, task_of

    predictor = config.inference.predictor(config.checkpoint)
    task = task_of(predictor.meaning)
    dataset = open_samples(config.data, config.split, task=task.name)
    total = task.zeros()
    if said := note_on_bundled(config.checkpoint):
        yield Progress(0, 0, "evaluate", message=said)
    for done, counts in enumerate(task.count_each(predictor, dataset), start=1):
        total += counts
        is_plain = config.inference.precision == "float32" and config.inference.engine != "openvino"
        message = "" if is_plain or done < len(dataset) else f"computed by {predictor.engine.description}"
        yield Progress(done, len(dataset), f"evaluate {config.split}", message=message)
    scores = task.score(total)
    crf = None if predictor.crf is None else settings_of(predictor.crf)
    result = EvaluateResult(scores, crf)
    if config.output is not None:
        _write(config.output, result)
        task.draw_errors(config.output, scores, predictor, dataset)
    return result


def _write(folder: Path, result: EvaluateResult) -> None:
    """Scores as JSON and text."""
    import json

    from atrous.files import write_text

    write_text(folder / "scores.json", json.dumps(result.to_dict(), indent=1) + "\n")
    write_text(folder / "scores.txt", result.to_table() + "\n")
