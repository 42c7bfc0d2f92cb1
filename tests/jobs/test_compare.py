"""Comparisons on tiny data: what they leave, how they go on, what stops them and what does not."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from atrous.checkpoint import load_tensors
from atrous.config import load_toml, to_toml
from atrous.errors import CheckpointError, ConfigError, DataError, OutputError, StoppedError
from atrous.jobs.compare import CompareConfig, compare, run
from atrous.jobs.contenders import Contender
from atrous.jobs.train import TrainConfig
from atrous.training.settings import Stage
from jobs.comparisons import resumed, small_comparison


@pytest.fixture
def config(tiny_data, tmp_path):
    return small_comparison(tiny_data, tmp_path / "compared")


def assert_same(ours, theirs):
    """The same network, bit for bit."""
    first, second = (load_tensors(folder / "model.safetensors")[0] for folder in (ours, theirs))
    assert first.keys() == second.keys()
    assert all(value.equal(second[key]) for key, value in first.items())


def stop_at_once(config, number=signal.SIGINT):
    for said in run(config):
        if said.done == 1 and said.part.endswith("front_end"):
            signal.raise_signal(number)


@pytest.mark.slow
def test_a_comparison_leaves_a_table_a_picture_and_every_run(config):
    result = compare(config)
    assert result.exit_code == 0
    assert [standing.name for standing in result.standings] == ["compact", "compact_context"]
    for name, stages in (
        ("compact", {"front_end": 6}),
        ("compact_context", {"front_end": 3, "context": 2, "joint": 1}),
    ):
        recipe = load_toml(config.output / name / "seed_0" / "recipe.toml", TrainConfig)
        assert {stage: settings.num_steps for stage, settings in recipe.stages.items()} == stages
        assert recipe.val_split == ""
        scores = json.loads((config.output / name / "seed_0" / "scores.json").read_text())
        (standing,) = (one for one in result.standings if one.name == name)
        assert standing.mean_iou is not None
        assert standing.mean_iou.mean == scores["mean_iou"]
    assert json.loads((config.output / "comparison.json").read_text()) == json.loads(
        json.dumps(result.to_dict())
    )
    assert (config.output / "comparison.txt").read_text() == result.to_table() + "\n"
    assert (config.output / "comparison.md").read_text() == result.to_markdown() + "\n"
    with Image.open(result.picture) as picture:
        assert picture.width > 1000
    said = replace(config, train_split="train", split="val")
    assert load_toml(config.output / "recipe.toml", CompareConfig) == said


@pytest.mark.slow
def test_a_stopped_comparison_goes_on_where_it_was_and_repeats_nothing(config):
    compare(replace(config, output=config.output.with_name("whole")))

    def stop_in(part, number):
        for said in run(config if number == signal.SIGINT else resumed(config)):
            if said.part.endswith(part) and said.done == 1 and not said.message:
                signal.raise_signal(number)

    with pytest.raises(
        StoppedError, match=r"stopped in 1 of 2, compact, seed 0, all saved; add --resume"
    ) as stopped:
        stop_in("compact, seed 0, front_end", signal.SIGINT)
    assert stopped.value.exit_code == 130
    with pytest.raises(StoppedError, match=r"stopped in 2 of 2, compact_context, seed 0"):
        stop_in("compact_context, seed 0, front_end", signal.SIGTERM)
    finished = config.output / "compact" / "seed_0" / "model.safetensors"
    written = finished.stat().st_mtime_ns
    compare(resumed(config))
    assert finished.stat().st_mtime_ns == written
    for name in config.networks:
        assert_same(config.output / name / "seed_0", config.output.with_name("whole") / name / "seed_0")


@pytest.mark.slow
def test_a_killed_comparison_goes_on_to_the_same_networks(config):
    whole = config.output.with_name("whole")
    compare(replace(config, output=whole))
    recipe = config.output.with_name("recipe.toml")
    recipe.write_text(to_toml(config))
    command = [sys.executable, "-m", "atrous", "compare", "--recipe", str(recipe)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    last = config.output / "compact" / "seed_0" / "last.safetensors"
    while not last.exists() and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    compare(resumed(config))
    for name in config.networks:
        assert_same(config.output / name / "seed_0", whole / name / "seed_0")


@pytest.mark.slow
def test_networks_and_seeds_are_added_to_a_comparison(config):
    first = compare(replace(config, networks=("compact",)))
    more = replace(resumed(config), networks=("naive_skips",), seeds=(1,))
    result = compare(more)
    assert [standing.name for standing in result.standings] == ["compact", "naive_skips"]
    assert [[trial.seed for trial in standing.trials] for standing in result.standings] == [[0, 1], [0, 1]]
    assert result.standings[0].trials[0] == first.standings[0].trials[0]
    assert load_toml(config.output / "recipe.toml", CompareConfig).seeds == (0, 1)


@pytest.mark.slow
def test_a_network_that_fails_is_a_line_with_its_reason(config):
    diverging = Contender("compact", name="diverging", learning_rate_factor=1e30)
    based = Contender("compact", name="based", backbone="vgg16")
    names = ("based", "diverging", "compact")
    result = compare(replace(config, networks=names, contenders=(diverging, based)))
    unknown, diverged, fine = result.standings
    assert result.exit_code == 1
    assert unknown.reason.startswith('"compact" stands on no other backbone')
    assert "the loss of update 2 is" in diverged.reason
    assert unknown.mean_iou is None
    assert diverged.mean_iou is None
    assert fine.mean_iou is not None
    assert "diverging failed: seed 0: front_end: the loss of update 2" in result.to_table()


@pytest.mark.slow
def test_a_run_killed_before_its_first_save_begins_anew(config):
    one = replace(config, networks=("compact",))
    compare(replace(one, output=config.output.with_name("whole")))
    with pytest.raises(StoppedError, match="stopped in 1 of 1"):
        stop_at_once(one)
    folder = config.output / "compact" / "seed_0"
    (folder / "last.safetensors").unlink()
    compare(resumed(one))
    assert_same(folder, config.output.with_name("whole") / "compact" / "seed_0")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"data": None}, ConfigError, "no data given; give the folder of a data set, or --resume"),
        ({"networks": ()}, ConfigError, "no networks given; name some by --networks"),
        (
            {"contenders": (Contender("compact", name="a", backbone="vgg16"),), "networks": ("a",)},
            ConfigError,
            'none of the networks can be compared; "compact" stands on no other backbone',
        ),
        (
            {"networks": ("compact", "unet9")},
            ConfigError,
            'no network "unet9" in the catalog or among the contenders; did you mean "unet"',
        ),
        (
            {"contenders": (Contender("compact", init=Path("none.safetensors")),)},
            ConfigError,
            r"compact starts from none\.safetensors, which is not there",
        ),
        ({"split": "vall"}, DataError, 'has no split "vall"; did you mean "val"'),
        ({"resume": True}, CheckpointError, r"has no recipe\.toml to resume; leave out --resume to start"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(config, change, error, message):
    with pytest.raises(error, match=message):
        compare(replace(config, **change))
    assert not config.output.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": (1, 1)}, "seeds 1 1 name one twice; give each once"),
        ({"seeds": (-1,)}, r"seeds are \(-1,\); they must be at least 0"),
        ({"networks": ("compact", "compact")}, "networks compact compact name one twice"),
        ({"save_every": 0}, "save_every at least 1"),
        ({"front_end": Stage()}, "front_end has no steps; every network begins with it"),
    ],
)
def test_impossible_settings_are_refused(config, change, message):
    with pytest.raises(ConfigError, match=message):
        replace(config, **change)


@pytest.mark.slow
def test_a_comparison_is_neither_overwritten_nor_changed_on_the_way(config):
    one = replace(config, networks=("compact",))
    compare(one)
    with pytest.raises(OutputError, match="holds a comparison already; add --resume to go on"):
        compare(one)
    with pytest.raises(ConfigError, match="keeps its settings, and num_steps would change them"):
        compare(replace(resumed(one), num_steps=50))
    changed = Contender("compact", learning_rate_factor=0.5)
    with pytest.raises(ConfigError, match=r"seed_0 was trained by other settings than .* has now"):
        compare(replace(resumed(one), contenders=(changed,)))
