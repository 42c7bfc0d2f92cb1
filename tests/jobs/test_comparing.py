"""What a comparison refuses, warns of, and leaves out."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from atrous.config import load_toml
from atrous.errors import ConfigError
from atrous.jobs.compare import CompareConfig, compare, run
from atrous.jobs.contenders import Contender
from jobs.comparisons import STAGE, resumed, small_comparison
from jobs.volumes import write_decathlon


@pytest.fixture
def config(tiny_data, tmp_path):
    return small_comparison(tiny_data, tmp_path / "compared")


@pytest.mark.slow
def test_a_network_whose_last_update_broke_it_is_a_line_with_its_reason(config):
    stage = replace(STAGE, num_steps=1, warmup_steps=0)
    broken = Contender("compact", name="broken", learning_rate_factor=1e38)
    none = replace(STAGE, num_steps=0)
    result = compare(
        replace(
            config,
            networks=("compact", "broken"),
            contenders=(broken,),
            front_end=stage,
            context=none,
            joint=none,
        )
    )
    fine, failed = result.standings
    assert fine.reason == ""
    assert re.search(
        r"the network's outputs are not finite|after step 1 of front_end .* is not finite", failed.reason
    )


@pytest.mark.slow
def test_a_resumed_comparison_keeps_its_data_and_its_splits(config, tmp_path):
    one = replace(config, networks=("compact",), split="train")
    compare(one)
    with pytest.raises(ConfigError, match=r"and builtin:scenes is given: its scores would stand beside"):
        compare(replace(resumed(one), data=Path("builtin:scenes")))
    with pytest.raises(ConfigError, match=r"keeps its settings, and split would change them"):
        compare(replace(resumed(one), split="val"))
    with pytest.raises(ConfigError, match=r'no network "nosuch"'):
        compare(replace(resumed(one), networks=("nosuch",)))
    assert load_toml(config.output / "recipe.toml", CompareConfig).networks == ("compact",)
    assert config.data is not None
    moved = config.data.rename(tmp_path / "moved")
    assert compare(replace(resumed(one), data=moved)).exit_code == 0


@pytest.mark.slow
def test_learning_and_judging_by_the_same_samples_is_said(config):
    one = replace(config, networks=("compact",), split="train")
    messages = [said.message for said in run(one)]
    assert any('samples of "train" are in "train" too' in message for message in messages)


@pytest.mark.parametrize("name", ["comparison.png", "recipe.toml", "a/b", ".a"])
def test_names_that_are_no_folders_of_a_comparison_are_refused(name):
    with pytest.raises(ConfigError, match="give it a name without slashes"):
        Contender("compact", name=name)


@pytest.mark.slow
def test_volumes_are_compared(config, tmp_path):
    pytest.importorskip("nibabel", reason="needs the extra medical")
    stage = replace(STAGE, crop_size=(8, 8, 8))
    volumes = replace(
        config, data=write_decathlon(tmp_path / "volumes", 4), networks=("context3d",), speed="auto",
        train_split="not-fold0of2", split="fold0of2", front_end=stage, context=stage, joint=stage,
    )  # fmt: skip
    result = compare(volumes)
    assert result.exit_code == 0
    assert "multiply-adds of a volume of " in result.to_table()
    assert result.standings[0].speed is not None


@pytest.mark.slow
def test_starting_weights_are_needed_only_at_the_start(config, tmp_path, tiny_checkpoint):
    init = tmp_path / "init.safetensors"
    init.write_bytes(tiny_checkpoint.read_bytes())
    one = replace(config, networks=("based",), contenders=(Contender("compact", name="based", init=init),))
    first = compare(one)
    init.unlink()
    assert compare(resumed(one)).standings == first.standings
