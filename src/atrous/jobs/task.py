"""What training and evaluation ask of a task; a file each holds the tasks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from atrous.data.meaning import Meaning
from atrous.evaluation.generation import GenerationScores
from atrous.evaluation.metrics import Scores
from atrous.evaluation.regression import RegressionScores
from atrous.inference.predictor import Predictor
from atrous.jobs.train import TrainConfig
from atrous.models.contract import DenseNetwork
from atrous.training.settings import Stage

AnyScores = Scores | RegressionScores | GenerationScores
Loss = Callable[[Tensor, Tensor], Tensor]


class Task(ABC):
    """What training and evaluation ask of a task; `column` is that of its score in log.csv."""

    name: str
    column: str

    @property
    @abstractmethod
    def meaning(self) -> Meaning:
        """What the network's outputs are; a checkpoint stores it."""

    @property
    @abstractmethod
    def in_channels(self) -> int:
        """Channels of what the network sees."""

    @abstractmethod
    def refuse(self, config: TrainConfig, network: DenseNetwork) -> None:
        """Refuse what does not go with the task.

        Raises:
            ConfigError: With the way out.
        """

    @abstractmethod
    def build_loss(self, stage: Stage, class_weights: Tensor | None) -> Loss:
        """The stage's loss: (outputs, targets) on one grid -> scalar.

        Raises:
            ConfigError: If the task has no such loss.
        """

    @abstractmethod
    def count_valid(self, targets: Tensor) -> int:
        """Targets that count."""

    @abstractmethod
    def zeros(self) -> Any:
        """What was counted before the first sample; dataclass of arrays that add up."""

    @abstractmethod
    def count_each(
        self, predictor: Predictor, dataset: Any, *, indices: Sequence[int] | None = None
    ) -> Iterator[Any]:
        """What is counted of each sample."""

    @abstractmethod
    def score(self, total: Any) -> AnyScores:
        """Scores of everything counted."""

    @abstractmethod
    def draw_errors(self, folder: Path, scores: Any, predictor: Predictor, dataset: Any) -> None:
        """A picture of what is wrong, in the folder.

        Raises:
            OutputError: If it cannot be written.
        """
