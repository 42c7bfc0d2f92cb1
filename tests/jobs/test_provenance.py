import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

import atrous
from atrous.checkpoint import load_tensors
from atrous.config import to_toml
from atrous.jobs.provenance import differences, git_state
from atrous.jobs.train import TrainConfig, train
from atrous.training.settings import Stage

STAGE = Stage(num_steps=3, batch_size=2, crop_size=(32, 40), learning_rate=0.01, scale=(0.8, 1.3), color=0.2)


@pytest.fixture
def config(tiny_data, tmp_path):
    return TrainConfig(
        data=tiny_data,
        output=tmp_path / "run",
        network="compact",
        device="cpu",
        precision="float32",
        seed=7,
        front_end=STAGE,
    )


def git(folder, *words):
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True)


@pytest.mark.slow
def test_a_run_says_what_it_was_made_of(config, tiny_checkpoint):
    train(replace(config, init=tiny_checkpoint))
    provenance = json.loads((config.output / "provenance.json").read_text())
    assert provenance["versions"]["atrous"] == atrous.__version__
    assert provenance["versions"]["torch"] == torch.__version__
    assert (
        provenance["machine"] | {"device": "cpu", "precision": "float32", "processes": 1}
        == provenance["machine"]
    )
    assert provenance["data"]["train"]["num_samples"] == 4
    assert len(provenance["init"]) == 64
    assert provenance["git"].keys() == {"atrous", "working folder"}


@pytest.mark.slow
def test_training_again_from_the_recipe_beside_a_checkpoint_gives_the_same_weights(config):
    """By the command, in two processes of their own."""
    recipe = config.output.with_suffix(".toml")
    recipe.write_text(to_toml(config))
    command = [sys.executable, "-m", "atrous", "train"]
    again = config.output.with_name("again")
    subprocess.run([*command, "--recipe", recipe], check=True, capture_output=True)
    subprocess.run(
        [*command, "--recipe", config.output / "recipe.toml", "-o", again], check=True, capture_output=True
    )
    ours, theirs = (load_tensors(folder / "model.safetensors") for folder in (config.output, again))
    assert all(torch.equal(value, theirs[0][name]) for name, value in ours[0].items())
    assert ours[1] == theirs[1]
    first, second = (
        json.loads((folder / "provenance.json").read_text()) for folder in (config.output, again)
    )
    assert first == second


def test_the_state_of_a_work_tree_is_its_commit_and_whether_it_was_changed(tmp_path):
    assert git_state(tmp_path) is None
    git(tmp_path, "init")
    assert git_state(tmp_path) is None  # no commit yet
    (tmp_path / "file").write_text("a")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "first")
    state = git_state(tmp_path)
    assert state is not None
    assert (len(state["commit"]), state["changed"]) == (40, False)
    (tmp_path / "untracked").write_text("b")
    assert git_state(tmp_path) == state
    (tmp_path / "file").write_text("b")
    assert git_state(tmp_path) == {**state, "changed": True}


def test_without_git_there_is_no_state(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None


def test_differences_name_what_changed_and_nothing_else():
    before = {
        "data": {"train": {"num_samples": 4, "num_bytes": 9, "sha256": "a" * 64}},
        "versions": {"torch": "2.13.0", "numpy": "2.0"},
        "git": {"atrous": {"commit": "b" * 40, "changed": False}, "working folder": None},
    }
    now = {
        "data": {"train": {"num_samples": 5, "num_bytes": 9, "sha256": "c" * 64}},
        "versions": {"torch": "2.13.0", "numpy": "2.1"},
        "git": {"atrous": {"commit": "b" * 40, "changed": True}, "working folder": None},
    }
    assert differences(before, before) == []
    assert differences(before, now) == [
        f"data: train was 4 samples of sha256 {'a' * 12} and is 5 samples of sha256 {'c' * 12}",
        "versions: numpy was 2.0 and is 2.1",
        f"git: atrous was {'b' * 12} and is {'b' * 12} with changes",
    ]
    assert differences({}, {"versions": {"torch": "2.13.0"}}) == ["versions: torch was nothing and is 2.13.0"]
