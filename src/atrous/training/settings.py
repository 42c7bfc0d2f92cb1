"""What a stage of a training is set to: plain values, the same in TOML and on the command line."""

from dataclasses import dataclass
from typing import Literal

from atrous.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Stage:
    """Settings of one stage; `num_steps = 0` skips it.

    Attributes:
        num_steps: Optimizer updates.
        batch_size: Crops a micro-batch.
        accumulate: Micro-batches an update.
        crop_size: Height and width in pixels; of volumes, voxels to the right, to the front and up; of
            sounds, samples.
        scale: Smallest and largest random zoom; 1 1 leaves the size.
        mirror: Half of the crops are flipped left to right; --STAGE.no-mirror flips none.
        flips: Of volumes: further axes along which half of the crops are flipped, 1 back-front, 2 down-up.
        color: Strength of random brightness and contrast; 0 none, 0.2 mild.
        optimizer: sgd or adamw.
        learning_rate: Of weights in pretrained layers; biases get twice as much (Yu & Koltun).
        new_layers_factor: Times that much for layers that were not pretrained.
        momentum: Of sgd; the first beta of adamw.
        weight_decay: On weights; biases have none.
        schedule: poly (to zero with power 0.9), step (a tenth after each milestone), or constant.
        milestones: Steps after which the schedule step falls to a tenth; after each third unless given.
        warmup_steps: Steps of linear growth at the start.
        loss: cross_entropy, dice, focal, lovasz, or a sum such as cross_entropy+lovasz.
        auxiliary_weight: Of the auxiliary head's loss beside the network's own, where there is such a head; 0
            leaves it alone.
        class_weights: median_frequency evens out rare classes; only in cross_entropy and focal.
        loss_stride: Pixels from one label that counts to the next; the network's output stride means its own
            cells without upsampling, as in the released scripts.
        frozen: Prefixes of layers that keep their weights, such as conv1_.
        ema_decay: Of the running average of weights that is validated and saved; 0 for none.
    """

    num_steps: int = 0
    batch_size: int = 8
    accumulate: int = 1
    crop_size: tuple[int, ...] = (320, 320)
    scale: tuple[float, float] = (1.0, 1.0)
    mirror: bool = True
    flips: tuple[int, ...] = ()
    color: float = 0.0
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 1e-3
    new_layers_factor: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["poly", "step", "constant"] = "poly"
    milestones: tuple[int, ...] = ()
    warmup_steps: int = 0
    loss: str = "cross_entropy"
    auxiliary_weight: float = 0.4  # Zhao et al. 2017, section 5.2
    class_weights: Literal["none", "median_frequency"] = "none"
    loss_stride: int = 1
    frozen: tuple[str, ...] = ()
    ema_decay: float = 0.0

    def __post_init__(self) -> None:
        _at_least(0, num_steps=self.num_steps, warmup_steps=self.warmup_steps, weight_decay=self.weight_decay)
        _at_least(0, auxiliary_weight=self.auxiliary_weight)
        _at_least(1, batch_size=self.batch_size, accumulate=self.accumulate, loss_stride=self.loss_stride)
        if len(self.crop_size) not in (1, 2, 3):
            raise ConfigError(
                f"crop_size {self.crop_size} has two sides for images, three for volumes, one for sounds"
            )
        _at_least(1, crop_size=min(self.crop_size))
        if not self.learning_rate > 0 or not self.new_layers_factor > 0:
            raise ConfigError(
                f"learning_rate {self.learning_rate} and new_layers_factor {self.new_layers_factor} "
                "must be positive"
            )
        ascending = list(self.milestones) == sorted(set(self.milestones))
        if self.milestones and (self.schedule != "step" or not ascending):
            raise ConfigError(
                f"milestones {self.milestones} with schedule {self.schedule}: they must ascend, and are for "
                "the schedule step"
            )
        for name, value in (("momentum", self.momentum), ("ema_decay", self.ema_decay)):
            if not 0 <= value < 1:
                raise ConfigError(f"{name} is {value}; it must lie in [0, 1)")


def _at_least(least: int, **values: float) -> None:
    for name, value in values.items():
        if value < least:
            raise ConfigError(f"{name} is {value}; it must be at least {least}")
