"""The demo's trial: networks on held-out scenes, every layout with its rings dealt out in turn."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from atrous.data.scene_plan import CORE_LABEL, KINDS
from atrous.data.scenes import Scenes
from atrous.evaluation.metrics import Counts, Scores
from atrous.inference.prediction import Prediction
from atrous.inference.predictor import Predictor
from atrous.jobs.progress import Job, Progress

CORES = sorted(CORE_LABEL.values())
CHANCE = 1 / len(CORES)
BEST_GUESS = 1 / (2 * len(CORES) - 1)  # IoU of each kind of core, where all three are named equally often


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the trial says about one network.

    Attributes:
        scores: On all scenes.
        core_accuracy: Share of the core pixels that are labeled right.
        num_core_pixels: Compared between two scenes that differ in their rings alone.
        num_changed: Of these, how many got another label.
        largest_change: Of any logit at any of these.
    """

    scores: Scores
    core_accuracy: float
    num_core_pixels: int
    num_changed: int
    largest_change: float


@dataclass(frozen=True, slots=True)
class Change:
    """What moving the rings did to the core pixels of some scenes; add them up with `+`."""

    num_core_pixels: int = 0
    num_changed: int = 0
    largest: float = 0.0

    def __add__(self, other: "Change") -> "Change":
        return Change(
            self.num_core_pixels + other.num_core_pixels,
            self.num_changed + other.num_changed,
            max(self.largest, other.largest),
        )


def ceiling(num_classes: int) -> float:
    """The best mean IoU on these scenes for whatever does not see the rings from a core.

    All else may be perfect. Over the turns of a layout such a network is right on one core in three: if it
    calls a share p of all core pixels by one name, that name's IoU is at most p / (1 + 2p). The sum over the
    names is largest at p = 1/3, with 1/5 each.
    """
    return (num_classes - len(CORES) + len(CORES) * BEST_GUESS) / num_classes


def run_trial(
    predictors: Mapping[str, Predictor], scenes: Scenes, *, num_layouts: int | None = None
) -> Job[dict[str, Verdict]]:
    """A verdict on each of the named networks.

    Args:
        predictors: For the classes of the scenes.
        scenes: Held out.
        num_layouts: Of the first layouts only; all unless given.
    """
    counts = {name: Counts.zeros(scenes.label_set.num_classes) for name in predictors}
    changes = {name: Change() for name in predictors}
    num_scenes = len(scenes) if num_layouts is None else num_layouts * len(KINDS)
    for first in range(0, num_scenes, len(KINDS)):
        turns = [scenes[first + turn] for turn in range(len(KINDS))]
        on_core = np.isin(turns[0].labels, CORES)
        for name, predictor in predictors.items():
            predictions = [predictor(sample.image) for sample in turns]
            for sample, prediction in zip(turns, predictions, strict=True):
                counts[name] += Counts.of_image(
                    prediction.label_map, sample.labels, scenes.label_set.num_classes
                )
            for prediction in predictions[1:]:
                changes[name] += _change(predictions[0], prediction, on_core)
        yield Progress(first + len(KINDS), num_scenes, "held-out scenes")
    return {
        name: _verdict(Scores.from_counts(counts[name], names=scenes.label_set.names), changes[name])
        for name in predictors
    }


def _change(before: Prediction, after: Prediction, on_core: np.ndarray) -> Change:
    differences = (after.logits - before.logits).abs().cpu().numpy()[:, on_core]
    num_changed = int((after.label_map != before.label_map)[on_core].sum())
    return Change(int(on_core.sum()), num_changed, float(differences.max()))


def _verdict(scores: Scores, change: Change) -> Verdict:
    on_cores = scores.confusion_matrix[CORES]
    right = sum(int(on_cores[row, label]) for row, label in enumerate(CORES))
    return Verdict(
        scores, right / int(on_cores.sum()), change.num_core_pixels, change.num_changed, change.largest
    )
