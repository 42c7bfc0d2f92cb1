"""The search of `atrous refine --search`: settings of a dense CRF for a checkpoint, on labeled images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGTERM
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8
from torch import Tensor

from atrous.checkpoint import Checkpoint, is_bundled, load_checkpoint, save_checkpoint
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
from atrous.jobs.crf_settings import describe, settings_of
from atrous.jobs.interrupt import listen
from atrous.jobs.progress import Job, Progress
from atrous.jobs.refine import RefineConfig


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """What a search found.

    Attributes:
        result: All that was tried, scored by mean IoU.
        carried: The CRF that the checkpoint carried as settings, and its score; None without one.
        num_images: Images it was tried on.
        output: The checkpoint that carries the best now.
        exit_code: 0, or 130 after Ctrl-C.
        stopped: Whether somebody ended it early.
    """

    result: SearchResult
    carried: Trial | None
    num_images: int
    output: Path
    exit_code: int = 0
    stopped: bool = False

    @property
    def best(self) -> Trial:
        """The best of all: no CRF where none beats that, the one carried where none beats it."""
        known = [Trial(None, self.result.score_without), *([self.carried] if self.carried else [])]
        return max([*known, self.result.best], key=lambda trial: trial.score)

    @property
    def is_new(self) -> bool:
        """Whether the checkpoint carries something else than before."""
        return self.best.crf != (self.carried.crf if self.carried else None)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "written": str(self.output) if self.is_new else None,
            "stopped": self.stopped,
            "num_images": self.num_images,
            "mean_iou_without": self.result.score_without,
            "mean_iou_carried": self.carried.score if self.carried else None,
            "mean_iou": self.best.score,
            "crf": settings_of(self.best.crf) if self.best.crf else None,
            "trials": [
                {"mean_iou": trial.score, **settings_of(trial.crf)}
                for trial in self.result.trials
                if trial.crf
            ],
        }

    def to_table(self) -> str:
        """Scores without, carried, at the start and at best, and what became of the checkpoint."""
        lines = [
            f"mean IoU on {self.num_images} images{', stopped early' if self.stopped else ''}",
            _line("without a CRF", Trial(None, self.result.score_without)),
            *([_line("carried", self.carried)] if self.carried else []),
            _line("at the start", self.result.trials[0]),
            _line(f"best of {len(self.result.trials)}", self.result.best),
        ]
        if self.best.crf is None and self.is_new:
            lines.append(f"no setting beats no CRF: the one carried was taken out of {self.output}")
        elif self.best.crf is None:
            lines.append(f"no setting beats no CRF: none was saved into {self.output}")
        elif self.is_new:
            lines.append(f"saved into {self.output}: predict and evaluate apply it, unless told --no-crf")
        else:
            lines.append(f"nothing beats what {self.output} carries, which stays")
        return "\n".join(lines)


def _line(name: str, trial: Trial) -> str:
    settings = f"  {describe(settings_of(trial.crf))}" if trial.crf else ""
    return f"  {name:<14} {100 * trial.score:5.1f}{settings}"


def search(config: RefineConfig) -> Job[SearchOutcome]:
    """Try settings, the best into the checkpoint; see `atrous.jobs.refine.run`."""
    assert config.search is not None
    assert config.checkpoint is not None
    if config.output is None and is_bundled(config.checkpoint):
        raise ConfigError(f"{config.checkpoint} comes with atrous and is not changed; give an --output")
    output = config.output or config.checkpoint
    if output != config.checkpoint:
        refuse_existing(output, overwrite=config.overwrite)
    checkpoint = load_checkpoint(config.checkpoint)
    predictor = Predictor(config.checkpoint, device=config.device, precision=config.precision, crf=None)
    carried = _carried(config, checkpoint, predictor.label_set.num_classes)
    start = config.settings.over(carried or DenseCRF())
    dataset = matched(open_dataset(config.search, config.split), predictor.label_set)
    examples = yield from _examples(predictor, dataset, config.num_images)
    known = None if carried is None else _rate(carried, examples)
    tried: list[Trial] = []
    with listen() as wish:
        for trial in try_parameters(examples, score=examples.mean_iou, start=start, budget=config.budget):
            tried.append(trial)
            best = max(each.score for each in (*tried, *([known] if known else [])))
            figures = {"best mean IoU": f"{100 * best:.2f}"}
            yield Progress(len(tried) - 1, config.budget, "settings tried", figures)
            if wish.stop:
                break
    if len(tried) < 2:
        raise StoppedError("stopped before any settings were tried; nothing was saved")
    exit_code = 0 if wish.signal in (0, SIGTERM) else 128 + wish.signal
    outcome = SearchOutcome(
        SearchResult.of(tried), known, len(examples), output, exit_code, stopped=wish.stop
    )
    _save(config, checkpoint, outcome)
    return outcome


def _carried(config: RefineConfig, checkpoint: Checkpoint, num_classes: int) -> DenseCRF | None:
    """The settings that the checkpoint carries; a learned CRF gives way only where that is wanted."""
    crf = crf_of(checkpoint, num_classes=num_classes)
    if isinstance(crf, CRFRNN):
        if not config.overwrite and config.output in (None, config.checkpoint):
            raise ConfigError(
                f"{config.checkpoint} carries a learned CRF, which the settings found would replace; give "
                "another --output, or --overwrite"
            )
        return None
    return crf


def _rate(crf: DenseCRF, examples: "_Examples") -> Trial:
    """The score of one CRF."""
    trials = try_parameters(examples, score=examples.mean_iou, start=crf, octaves=(), strengths=(), budget=1)
    return SearchResult.of(list(trials)).best


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


def _save(config: RefineConfig, checkpoint: Checkpoint, outcome: SearchOutcome) -> None:
    """The best into the checkpoint, with what it was found on; nothing where that is what it carries."""
    if not outcome.is_new and outcome.output == config.checkpoint:
        return
    found = {
        "data": str(config.search),
        "split": config.split,
        "num_images": outcome.num_images,
        "num_trials": len(outcome.result.trials),
        "mean_iou_without": outcome.result.score_without,
        "mean_iou": outcome.best.score,
    }
    progress = {**checkpoint.progress, "crf_search": found}
    save_checkpoint(outcome.output, replace(with_crf(checkpoint, outcome.best.crf), progress=progress))
