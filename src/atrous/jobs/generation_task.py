"""The next sample of a sound: what training and evaluation need for it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import final

from torch import Tensor
from torch.nn import functional

from atrous.data.voice import TASK, Recordings, Voice
from atrous.errors import ConfigError, DataError
from atrous.evaluation.generation import Bits, GenerationScores, count_each
from atrous.geometry.receptive_field import receptive_field
from atrous.inference.predictor import Predictor
from atrous.jobs.sound_examples import NO_CODE
from atrous.jobs.task import Loss, Task
from atrous.jobs.train import TrainConfig
from atrous.models.companding import Companding
from atrous.models.contract import DenseNetwork
from atrous.models.named import example_of
from atrous.training.settings import Stage

LOSS = "cross_entropy"


@final
class Generation(Task):
    """The next sample of a sound, as one of its mu-law codes."""

    name = TASK
    column = "val_error"

    def __init__(self, voice: Voice) -> None:
        self._voice = voice

    @property
    def meaning(self) -> Voice:
        """Rate and conditions."""
        return self._voice

    @property
    def in_channels(self) -> int:
        """Codes, and conditions behind them."""
        return self._voice.in_channels

    def refuse(self, config: TrainConfig, network: DenseNetwork) -> None:
        """No CRF, no classes to weigh, and a network that is causal and speaks codes.

        Raises:
            ConfigError: If there is one of these, or the network is another.
        """
        if network.num_axes != 1 or not isinstance(network.normalization, Companding):
            raise ConfigError(f"{config.network} takes no sounds; choose wavenet, or one like it")
        latest = receptive_field(network, example_of(network)).axes[0].last[0]
        if latest is None or latest > 0:
            raise ConfigError(
                f"{config.network} reads samples ahead of the one it is to foresee; choose a causal network"
            )
        if config.crf_rnn.num_steps:
            raise ConfigError("crf_rnn refines classes of pixels, and sounds have none; leave the stage out")
        for name, stage in config.stages.items():
            if stage.class_weights != "none":
                raise ConfigError(f"{name}: class_weights are for labels, and codes are none; leave them out")

    def build_loss(self, stage: Stage, class_weights: Tensor | None) -> Loss:  # noqa: ARG002 (refused)
        """Cross-entropy of the codes.

        Raises:
            ConfigError: If it is another.
        """
        if stage.loss != LOSS:
            raise ConfigError(f"loss {stage.loss!r} is of labels; codes of sounds are learned by {LOSS}")
        return lambda logits, codes: functional.cross_entropy(logits.float(), codes, ignore_index=NO_CODE)

    def count_valid(self, targets: Tensor) -> int:
        """Samples of the sounds."""
        return int((targets != NO_CODE).sum())

    def zeros(self) -> Bits:
        """Of no sound."""
        return Bits.zeros(self._voice)

    def count_each(
        self, predictor: Predictor, dataset: Recordings, *, indices: Sequence[int] | None = None
    ) -> Iterator[Bits]:
        """Bits.

        Raises:
            DataError: If the sounds have another rate or other conditions than the network.
        """
        if dataset.voice != self._voice:
            raise DataError(
                f"the network speaks {describe(self._voice)}, and the sounds are {describe(dataset.voice)}; "
                "score it on sounds of what it was trained on"
            )
        return count_each(
            predictor.network, predictor.engine, dataset, device=predictor.device, indices=indices
        )

    def score(self, total: Bits) -> GenerationScores:
        """Bits a sample."""
        return GenerationScores.from_bits(total)

    def draw_errors(
        self,
        folder: Path,
        scores: GenerationScores,
        predictor: Predictor,
        dataset: Recordings,
    ) -> None:
        """Nothing is drawn."""


def describe(voice: Voice) -> str:
    """Rate and conditions in a few words."""
    names = ", ".join(voice.conditions[:4])
    return f"{voice.sample_rate} Hz, {len(voice.conditions)} conditions ({names}, ...)"
