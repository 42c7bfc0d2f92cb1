from dataclasses import replace
from pathlib import Path

import pytest

from atrous.config import load_toml
from atrous.data.open import open_dataset
from atrous.jobs.pick import Situation, look_at, pick
from atrous.jobs.progress import drain
from atrous.jobs.train import TrainConfig, run

SITUATION = Situation(num_samples=300, image_size=(90, 120), on_gpu=False, pretrained=False, minutes=5.0)
CONFIG = TrainConfig(data=Path("data"), device="cpu")


def test_pick_without_weights_trains_the_compact_network():
    choice = pick(CONFIG, SITUATION, num_classes=3)
    assert choice.config.network == "compact_context"
    assert choice.config.front_end.crop_size == (96, 120)
    assert choice.config.front_end.frozen == ()
    assert any("--init" in reason for reason in choice.reasons)


def test_pick_spends_no_more_than_the_time():
    long = pick(CONFIG, replace(SITUATION, num_samples=10**6), num_classes=3).config
    short = pick(CONFIG, replace(SITUATION, num_samples=10**6, minutes=1.0), num_classes=3).config
    assert sum(stage.num_steps for stage in short.stages.values()) < sum(
        stage.num_steps for stage in long.stages.values()
    )


def test_pick_keeps_the_network_that_was_asked_for():
    choice = pick(replace(CONFIG, network="compact"), SITUATION, num_classes=3)
    assert list(choice.config.stages) == ["front_end"]
    assert "as you asked" in choice.reasons[0]


def test_look_at_measures_the_images(tiny_data):
    situation = look_at(open_dataset(tiny_data, "train"), replace(CONFIG, minutes=7.0))
    assert situation == Situation(4, (48, 64), on_gpu=False, pretrained=False, minutes=7.0)


@pytest.mark.slow
def test_train_without_a_recipe_says_and_saves_its_choice(tiny_data, tmp_path):
    config = replace(CONFIG, data=tiny_data, output=tmp_path / "run", minutes=0.01, precision="float32")
    job = run(config)
    messages = []
    while True:
        try:
            messages.append(next(job).message)
        except StopIteration as stop:
            result = stop.value
            break
    assert any(message.startswith("network compact_context") for message in messages)
    assert result.checkpoint.exists()
    saved = tmp_path / "run/recipe.toml"
    assert "# network compact_context" in saved.read_text()
    assert load_toml(saved, TrainConfig).network == "compact_context"


def test_train_without_data_says_what_to_give(tmp_path):
    from atrous.errors import ConfigError

    with pytest.raises(ConfigError, match="folder of a data set"):
        drain(run(TrainConfig(output=tmp_path / "run")))
