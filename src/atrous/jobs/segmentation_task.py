"""Classes of pixels: what training and evaluation need for them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import final

from torch import Tensor

from atrous.data.labels import LabelSet
from atrous.data.samples import Samples
from atrous.evaluation.evaluate import count_each
from atrous.evaluation.metrics import Counts, Scores
from atrous.figures.canvas import save_figure
from atrous.figures.confusion import draw_confusion_matrix
from atrous.inference.predictor import Predictor
from atrous.jobs.task import Loss, Task
from atrous.jobs.train import TrainConfig
from atrous.models.contract import DenseNetwork
from atrous.training.loop import count_labeled
from atrous.training.losses import build_loss
from atrous.training.settings import Stage


@final
class Segmentation(Task):
    """Classes of pixels."""

    name = "segmentation"
    column = "val_mean_iou"

    def __init__(self, label_set: LabelSet) -> None:
        self._label_set = label_set

    @property
    def meaning(self) -> LabelSet:
        """Names and colors of the classes."""
        return self._label_set

    @property
    def in_channels(self) -> int:
        """Red, green, blue."""
        return 3

    def refuse(self, config: TrainConfig, network: DenseNetwork) -> None:
        """Everything goes with it."""

    def build_loss(self, stage: Stage, class_weights: Tensor | None) -> Loss:
        """Of `atrous.training.losses`."""
        return build_loss(stage.loss, class_weights=class_weights if stage.class_weights != "none" else None)

    def count_valid(self, targets: Tensor) -> int:
        """Labels other than 255."""
        return count_labeled(targets)

    def zeros(self) -> Counts:
        """No pixel of any class."""
        return Counts.zeros(self._label_set.num_classes)

    def count_each(
        self, predictor: Predictor, dataset: Samples, *, indices: Sequence[int] | None = None
    ) -> Iterator[Counts]:
        """Confusions and boundary pixels."""
        return count_each(predictor, dataset, indices=indices)

    def score(self, total: Counts) -> Scores:
        """IoU and others."""
        return Scores.from_counts(total, names=self._label_set.names)

    def draw_errors(self, folder: Path, scores: Scores, predictor: Predictor, dataset: Samples) -> None:  # noqa: ARG002
        """confusion.png."""
        matrix = draw_confusion_matrix(scores.confusion_matrix, self._label_set.names)
        save_figure(folder / "confusion.png", matrix)
