"""Depth or motion of pixels: what training and evaluation need for them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import final

import numpy as np
from torch import Tensor

from atrous.data.quantity import MeasuredSamples, Quantity
from atrous.errors import ConfigError
from atrous.evaluation.regression import RegressionScores, Sums, sum_each
from atrous.figures.canvas import save_figure
from atrous.figures.value_errors import draw_value_errors
from atrous.inference.predictor import Predictor
from atrous.jobs.task import Loss, Task
from atrous.jobs.train import TrainConfig
from atrous.models.contract import DenseNetwork
from atrous.models.dilated_net import DilatedNet
from atrous.training.regression_losses import build_regression_loss, count_measured
from atrous.training.settings import Stage

NUM_SHOWN = 4  # samples in the picture of errors


@final
class Regression(Task):
    """Depth or motion of pixels."""

    name = "regression"
    column = "val_error"

    def __init__(self, quantity: Quantity) -> None:
        self._quantity = quantity

    @property
    def meaning(self) -> Quantity:
        """What is measured."""
        return self._quantity

    @property
    def in_channels(self) -> int:
        """Three for every image seen at once."""
        return self._quantity.in_channels

    def refuse(self, config: TrainConfig, network: DenseNetwork) -> None:
        """No classes to weigh, no CRF, and no context module on one or two channels.

        Raises:
            ConfigError: If there is one of these.
        """
        if config.crf_rnn.num_steps:
            raise ConfigError(
                f"crf_rnn refines classes, and {self._quantity.kind} has none; leave the stage out"
            )
        if isinstance(network, DilatedNet):
            raise ConfigError(
                f"the context module of {config.network} works on as many channels as there are outputs, too "
                f"few for {self._quantity.kind}; choose compact_regressor, whose module works on features, "
                "or a front end without one"
            )
        for name, stage in config.stages.items():
            if stage.class_weights != "none":
                raise ConfigError(
                    f"{name}: class_weights are for classes, and {self._quantity.kind} has none; leave them "
                    "out"
                )

    def build_loss(self, stage: Stage, class_weights: Tensor | None) -> Loss:  # noqa: ARG002 (refused)
        """Of `atrous.training.regression_losses`.

        Raises:
            ConfigError: If it is none of these.
        """
        return build_regression_loss(stage.loss, is_log=self._quantity.is_log)

    def count_valid(self, targets: Tensor) -> int:
        """Measured pixels."""
        return count_measured(targets)

    def zeros(self) -> Sums:
        """No error at no pixel."""
        return Sums.zeros(self._quantity)

    def count_each(
        self, predictor: Predictor, dataset: MeasuredSamples, *, indices: Sequence[int] | None = None
    ) -> Iterator[Sums]:
        """Errors."""
        return sum_each(predictor, dataset, indices=indices)

    def score(self, total: Sums) -> RegressionScores:
        """Mean errors."""
        return RegressionScores.from_sums(total, self._quantity)

    def draw_errors(
        self,
        folder: Path,
        scores: RegressionScores,  # noqa: ARG002
        predictor: Predictor,
        dataset: MeasuredSamples,
    ) -> None:
        """errors.png: some samples, what was measured, what the network says, and how far it is off."""
        chosen = np.unique(np.linspace(0, len(dataset) - 1, NUM_SHOWN).round().astype(int)).tolist()
        shown = [dataset[index] for index in chosen]
        figure = draw_value_errors([(sample, predictor(sample.image).values) for sample in shown])
        save_figure(folder / "errors.png", figure)
