"""Learning rates over a stage, as factors of the stage's own rate."""

from collections.abc import Sequence
from typing import Literal

POLY_POWER = 0.9  # Chen et al. 2017 (DeepLab v2), section 4.1
STEP_FACTOR = 0.1


def learning_rate_factor(
    step: int,
    *,
    num_steps: int,
    schedule: Literal["poly", "step", "constant"],
    warmup_steps: int = 0,
    milestones: Sequence[int] = (),
) -> float:
    """What the learning rate of update `step` (0-based) is multiplied by; see `Stage` for the schedules.

    >>> learning_rate_factor(0, num_steps=100, schedule="poly")
    1.0
    """
    warmup = min(1.0, (step + 1) / (warmup_steps + 1))
    if schedule == "poly":
        return warmup * (1 - step / num_steps) ** POLY_POWER
    if schedule == "step":
        passed = sum(step >= milestone for milestone in milestones) if milestones else 3 * step // num_steps
        return warmup * STEP_FACTOR**passed
    return warmup
