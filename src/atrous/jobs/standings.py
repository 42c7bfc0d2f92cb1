"""What a comparison found: the trials of every network, and the lines that say how it was done."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atrous.errors import OutputError
from atrous.figures.standings import Line
from atrous.jobs.network_cost import NetworkCost
from atrous.jobs.prediction_cost import PredictionCost
from atrous.jobs.train import TrainConfig

if TYPE_CHECKING:
    from atrous.jobs.compare import CompareConfig

QUIET = 0.2  # processor cores: what others may take while a speed is measured without a warning


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a network, scored.

    Attributes:
        seed: It started from.
        mean_iou: On the split that judges; as all scores in 0-1, and 0 where the trial failed.
        boundary_f_score: Likewise.
        pixel_accuracy: Likewise.
        per_class_iou: Likewise, by name.
        reason: Why it failed; empty if it did not.
    """

    seed: int
    mean_iou: float = 0.0
    boundary_f_score: float = 0.0
    pixel_accuracy: float = 0.0
    per_class_iou: Mapping[str, float] | None = None
    reason: str = ""

    @classmethod
    def read(cls, seed: int, path: Path) -> "Trial":
        """The trial whose scores `atrous evaluate` wrote there.

        Raises:
            OutputError: If they cannot be read.
        """
        names = ("mean_iou", "boundary_f_score", "pixel_accuracy", "per_class_iou")
        try:
            scores = json.loads(path.read_text(encoding="utf-8"))
            return cls(seed, **{name: scores[name] for name in names})
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise OutputError(
                f"{path} holds no scores ({type(error).__name__}); remove it, and --resume scores the "
                "network again"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; no scores of a trial that failed."""
        return {"seed": self.seed, "reason": self.reason} if self.reason else asdict(self)

    @property
    def summary(self) -> str:
        """In a few words."""
        return f"failed: {self.reason}" if self.reason else f"mean IoU {100 * self.mean_iou:.1f}"


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, least and most of a score over seeds."""

    mean: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        """Of one or more values; None of none."""
        return cls(sum(values) / len(values), min(values), max(values)) if values else None


@dataclass(frozen=True, slots=True)
class Standing:
    """All about one network.

    Attributes:
        name: Of the contender.
        cost: What it costs and sees; None if it could not be built.
        trials: One a seed; none if it could not be built.
        speed: Of prediction; None if not measured.
        why_not: Why it could not be built.
    """

    name: str
    cost: NetworkCost | None
    trials: tuple[Trial, ...]
    speed: PredictionCost | None
    why_not: str = ""

    @property
    def scored(self) -> tuple[Trial, ...]:
        """The trials that did not fail."""
        return tuple(trial for trial in self.trials if not trial.reason)

    @property
    def mean_iou(self) -> Spread | None:
        """Over the seeds that did not fail."""
        return Spread.of([trial.mean_iou for trial in self.scored])

    @property
    def boundary_f_score(self) -> Spread | None:
        """Over the seeds that did not fail."""
        return Spread.of([trial.boundary_f_score for trial in self.scored])

    @property
    def reason(self) -> str:
        """Why it, or some of its trials, failed; empty if nothing did."""
        failed = [f"seed {trial.seed}: {trial.reason}" for trial in self.trials if trial.reason]
        return self.why_not or "; ".join(failed)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        spreads = {"mean_iou": self.mean_iou, "boundary_f_score": self.boundary_f_score}
        return {
            "name": self.name,
            **{name: spread and asdict(spread) for name, spread in spreads.items()},
            "cost": self.cost and asdict(self.cost),
            "speed": self.speed and asdict(self.speed),
            "trials": [trial.to_dict() for trial in self.trials],
            "reason": self.reason,
        }

    def to_line(self) -> Line:
        """For the picture."""
        return Line(
            name=self.name,
            mean_iou=tuple(trial.mean_iou for trial in self.scored),
            boundary_f_score=tuple(trial.boundary_f_score for trial in self.scored),
            parameters=self.cost.parameters if self.cost else None,
            multiply_adds=self.cost.multiply_adds if self.cost else None,
            field=self.cost.field if self.cost else None,
            sees_all=bool(self.cost and self.cost.sees_all),
        )


def describe_budget(trainings: Mapping[str, TrainConfig]) -> tuple[str, ...]:
    """How the networks spend the budget, those that spend it alike on a line."""
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name, training in trainings.items():
        spent = ", ".join(f"{stage.num_steps} {stage_name}" for stage_name, stage in training.stages.items())
        alike[spent].append(name)
    total = sum(stage.num_steps for stage in next(iter(trainings.values())).stages.values())
    ways = "; ".join(f"{', '.join(names)}: {spent}" for spent, names in alike.items())
    return (f"updates: {total} of each network, by stages ({ways})",)


def describe_measures(config: "CompareConfig", standings: Sequence[Standing]) -> tuple[str, ...]:
    """Where scores, counts and speeds come from."""
    seeds = ", ".join(map(str, config.seeds))
    lines = [
        f"scores: the network after its last update, on {config.split} of {config.data}; "
        f"mean (least-most) of seeds {seeds}"
    ]
    costs = [standing.cost for standing in standings if standing.cost]
    lines.append(
        f"GMAC: billions of multiply-adds of {_sizes(costs[0].image_size)}, the first of {config.split}; "
        "field: what a cell sees along an axis, +all where a path sees the whole of it"
    )
    speeds = [standing.speed for standing in standings if standing.speed]
    if not speeds:
        return (*lines, "images/s and MB: not measured; --resume without --speed none measures them")
    by = "; ".join(
        dict.fromkeys(f"{one.engine}, {one.threads} thread{'s' * (one.threads > 1)}" for one in speeds)
    )
    lines.append(
        f"images/s, MB: that image labeled again and again, each network in a process of its own, by {by}; "
        "MB is the peak of memory beyond that before the network was loaded"
    )
    most = max((one.others for one in speeds if one.others is not None), default=0.0)
    if most > QUIET:
        lines.append(
            f"images/s are too low: other processes kept up to {most:.1f} cores busy meanwhile; measure "
            "again on an idle machine by --resume --speed again"
        )
    return tuple(lines)


def _sizes(shape: tuple[int, ...]) -> str:
    """An image or a volume by its sides."""
    if len(shape) == 2:
        height, width = shape
        return f"an image of {width} x {height} px (width x height)"
    return f"a volume of {' x '.join(map(str, shape))} voxels"
