"""The search of `atrous refine --search`: settings of a dense CRF for a checkpoint, on labeled images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGTERM
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8
from torch import Tensor

from atrous.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from atrous.crf.dense_crf import DenseCRF
from atrous.crf.rnn import CRFRNN
from atrous.crf.search import Example, SearchResult, Trial, try_parameters
from atrous.crf.stored import crf_of, with_crf
from atrous.data.open import open_dataset
from atrous.data.samples import Samples
from atrous.errors import ConfigError, StoppedError
from atrous.evaluation.evaluate import matched
from atrous.evaluation.metrics import Counts, Scores, confusion_matrix
from atrous.files import refuse_existing
from atrous.inference.predictor import Predictor
from atrous.jobs.crf_settings import choose_crf, describe, settings_of
from atrous.jobs.interrupt import listen
from atrous.jobs.progress import Job, Progress
from atrous.jobs.refine import RefineConfig


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """What a search found.

    Attributes:
        result: All that was tried, scored by mean IoU.
        num_images: Images it was tried on.
        written: The checkpoint that carries the best settings now; None where no CRF helps.
    """

    result: SearchResult
    num_images: int
    written: Path | None
    exit_code: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "written": str(self.written) if self.written else None,
            "num_images": self.num_images,
            "mean_iou_without": self.result.score_without,
            "mean_iou": self.result.score,
            "crf": settings_of(self.result.crf),
            "trials": [
                {"mean_iou": trial.score, **settings_of(trial.crf)}
                for trial in self.result.trials
                if trial.crf
            ],
        }

    def to_table(self) -> str:
        """Scores without, at the start and at best, and where the best went."""
        result = self.result
        lines = [
            f"mean IoU on {self.num_images} images",
            f"  without a CRF  {100 * result.score_without:5.1f}",
            _line("at the start", result.trials[0]),
            _line(f"best of {len(result.trials)}", result.best),
        ]
        if self.written is None:
            lines.append("no setting helps, so none was saved")
        else:
            lines.append(f"saved into {self.written}: predict and evaluate apply it, unless told --no-crf")
        return "\n".join(lines)


def _line(name: str, trial: Trial) -> str:
    assert trial.crf is not None
    return f"  {name:<14} {100 * trial.score:5.1f}  {describe(settings_of(trial.crf))}"


def search(config: RefineConfig) -> Job[SearchOutcome]:
    """Try settings, best first into the checkpoint; see `atrous.jobs.refine.run`."""
    assert config.search is not None
    assert config.checkpoint is not None
    output = config.output or config.checkpoint
    if output != config.checkpoint:
        refuse_existing(output, overwrite=config.overwrite)
    checkpoint = load_checkpoint(config.checkpoint)
    predictor = Predictor(config.checkpoint, device=config.device, precision=config.precision, crf=None)
    start = _start(config, checkpoint, predictor.label_set.num_classes)
    dataset = matched(open_dataset(config.search, config.split), predictor.label_set)
    examples = yield from _examples(predictor, dataset, config.num_images)
    tried: list[Trial] = []
    with listen() as wish:
        for trial in try_parameters(examples, score=examples.mean_iou, start=start, budget=config.budget):
            tried.append(trial)
            best = max(tried, key=lambda each: each.score)
            figures = {"best mean IoU": f"{100 * best.score:.2f}"}
            yield Progress(len(tried) - 1, config.budget, "settings tried", figures)
            if wish.stop:
                break
    outcome = _save(config, checkpoint, tried, len(examples), output)
    if wish.stop:
        exit_code = 0 if wish.signal == SIGTERM else 128 + wish.signal
        raise StoppedError(f"stopped; so far: {outcome.to_table()}", exit_code=exit_code)
    return outcome


def _start(config: RefineConfig, checkpoint: Checkpoint, num_classes: int) -> DenseCRF:
    """What the search starts from: the settings that the checkpoint carries, or the usual ones."""
    if isinstance(crf_of(checkpoint, num_classes=num_classes), CRFRNN):
        if not config.overwrite and config.output in (None, config.checkpoint):
            raise ConfigError(
                f"{config.checkpoint} carries a learned CRF, which the settings found would replace; give "
                "another --output, or --overwrite"
            )
        checkpoint = with_crf(checkpoint, None)
    start = choose_crf(config.settings, checkpoint, num_classes=num_classes)
    assert isinstance(start, DenseCRF)
    return start


@dataclass(frozen=True, slots=True, eq=False)
class _Examples(Sequence[Example]):
    """Scores on the network's own grid and labels in memory; images are read when they are asked for."""

    predictor: Predictor
    dataset: Samples
    indices: tuple[int, ...]
    cells: list[Tensor]
    labels: list[UInt8[np.ndarray, "h w"]]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Example:  # type: ignore[override]
        image = self.dataset[self.indices[position]].image
        return self.predictor.upsample(self.cells[position], image.shape[:2]), image

    def mean_iou(self, label_maps: list[Int64[np.ndarray, "h w"]]) -> float:
        """The score of label maps of all examples."""
        names = self.predictor.label_set.names
        nothing = Counts.zeros(len(names))
        pairs = zip(label_maps, self.labels, strict=True)
        confusion = sum(confusion_matrix(label_map, labels, len(names)) for label_map, labels in pairs)
        return Scores.from_counts(
            replace(nothing, confusion=nothing.confusion + confusion), names=names
        ).mean_iou


def _examples(predictor: Predictor, dataset: Samples, most: int) -> Job[_Examples]:
    """Ask the network once about images spread evenly over the data set."""
    count = min(most or len(dataset), len(dataset))
    indices = tuple(int(index) for index in np.linspace(0, len(dataset) - 1, count).round())
    examples = _Examples(predictor, dataset, indices, [], [])
    for index in indices:
        sample = dataset[index]
        examples.cells.append(predictor.scores(sample.image))
        examples.labels.append(sample.labels)
        yield Progress(len(examples.cells), count, "scores")
    return examples


def _save(
    config: RefineConfig, checkpoint: Checkpoint, tried: list[Trial], num_images: int, output: Path
) -> SearchOutcome:
    """The best settings into the checkpoint, with what they were found on, if they help."""
    if len(tried) < 2:
        raise StoppedError("stopped before any settings were tried; nothing was saved")
    result = SearchResult.of(tried)
    if not result.helps:
        return SearchOutcome(result, num_images, None)
    found = {
        "data": str(config.search),
        "split": config.split,
        "num_images": num_images,
        "num_trials": len(result.trials),
        "mean_iou_without": result.score_without,
        "mean_iou": result.score,
    }
    progress = {**checkpoint.progress, "crf_search": found}
    save_checkpoint(output, replace(with_crf(checkpoint, result.crf), progress=progress))
    return SearchOutcome(result, num_images, output)
