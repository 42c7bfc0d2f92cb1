import pytest

from atrous.errors import ConfigError
from atrous.training.settings import Stage


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_steps": -1}, "num_steps is -1; it must be at least 0"),
        ({"warmup_steps": -1}, "warmup_steps is -1"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"loss_stride": 0}, "loss_stride is 0"),
        ({"crop_size": (0, 32)}, "crop_size is 0"),
        ({"crop_size": (32, -1)}, "crop_size is -1"),
        ({"crop_size": (8, 8, 8, 8)}, "two sides for images, three for volumes"),
        ({"learning_rate": 0.0}, "learning_rate 0.0 .* must be positive"),
        ({"learning_rate": float("nan")}, "must be positive"),
        ({"new_layers_factor": -1.0}, "new_layers_factor -1.0 must be positive"),
        (
            {"milestones": (5, 3), "schedule": "step"},
            r"milestones \(5, 3\) with schedule step: they must ascend",
        ),
        (
            {"milestones": (3,), "schedule": "poly"},
            r"milestones \(3,\) with schedule poly: .* are for the schedule",
        ),
        ({"momentum": 1.0}, r"momentum is 1.0; it must lie in \[0, 1\)"),
        ({"ema_decay": -0.5}, r"ema_decay is -0.5; it must lie in \[0, 1\)"),
    ],
)
def test_stage_refuses_what_cannot_be_trained(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Stage(**wrong)


def test_stage_without_settings_is_valid_and_skipped():
    assert Stage().num_steps == 0
