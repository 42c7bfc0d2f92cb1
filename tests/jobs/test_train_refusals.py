"""What a training leaves alone, and what it refuses instead of ignoring it."""

from dataclasses import replace

import pytest

from atrous.errors import ConfigError, DataError, OutputError
from atrous.jobs.progress import drain
from atrous.jobs.train import TrainConfig, run
from atrous.training.settings import Stage

STAGE = Stage(num_steps=1, batch_size=1, crop_size=(16, 16))


@pytest.fixture
def config(tiny_data, tmp_path):
    return TrainConfig(
        tiny_data,
        output=tmp_path / "run",
        network="compact",
        device="cpu",
        precision="float32",
        front_end=STAGE,
    )


@pytest.mark.slow
def test_train_leaves_a_folder_named_scores_alone(config):
    (config.output / "scores").mkdir(parents=True)
    (config.output / "scores/mine.txt").write_text("mine")
    drain(run(replace(config, network="compact_context", context=STAGE)))
    assert (config.output / "scores/mine.txt").read_text() == "mine"
    assert not (config.output / ".front_end_scores").exists()


def test_train_never_overwrites_a_recipe(config):
    config.output.mkdir()
    (config.output / "recipe.toml").write_text("# by hand")
    with pytest.raises(OutputError, match="holds a run already"):
        drain(run(config))
    assert (config.output / "recipe.toml").read_text() == "# by hand"


def test_a_refused_training_leaves_no_recipe(config):
    with pytest.raises(ConfigError, match="frozen"):
        drain(run(replace(config, front_end=replace(STAGE, frozen=("nothing",)))))
    assert not (config.output / "recipe.toml").exists()


def test_settings_of_a_stage_without_steps_are_refused(config):
    with pytest.raises(ConfigError, match="front_end has settings but no steps"):
        drain(run(replace(config, front_end=Stage(loss="dice"))))


@pytest.mark.slow
def test_resume_refuses_what_would_change_the_recipe(config):
    drain(run(config))
    changed = TrainConfig(output=config.output, resume=True, front_end=replace(STAGE, num_steps=9))
    with pytest.raises(ConfigError, match="front_end would change it"):
        drain(run(changed))
    drain(run(replace(config, resume=True)))  # the same again is no change


@pytest.mark.slow
def test_resume_refuses_data_of_other_classes(config):
    drain(run(config))
    assert config.data is not None
    (config.data / "labels.toml").write_text('names = ["a", "b", "c", "d"]')
    with pytest.raises(DataError, match="the data have 4 classes and 3 are wanted; only in the data: a, b"):
        drain(run(TrainConfig(output=config.output, resume=True)))
