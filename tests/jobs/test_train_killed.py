"""kill -9 anywhere in a training, in the middle of a save too: what goes on is the run that never stopped."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atrous.config import to_toml
from atrous.jobs.train import TrainConfig
from jobs.runs import AUGMENTED, PLAIN, assert_same

FORKED = Path(__file__).with_name("forked.py")
NUM_MOMENTS = 20
KILLED = -9


@pytest.fixture(scope="module")
def forked():
    """Asks the process that forks."""
    process = subprocess.Popen(
        [sys.executable, str(FORKED)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    questions, answers = process.stdin, process.stdout
    assert questions is not None
    assert answers is not None

    def ask(config, **how):
        recipe = config.output.with_suffix(".toml")
        recipe.write_text(to_toml(replace(config, resume=False)))
        resumes = ["--resume"] if (config.output / "recipe.toml").exists() else []
        request = {
            "words": ["train", "--recipe", str(recipe), *resumes],
            "folder": str(config.output),
            "log": str(config.output.with_suffix(".log")),
            **how,
        }
        questions.write(f"{json.dumps(request)}\n")
        questions.flush()
        return json.loads(answers.readline())

    yield ask
    process.communicate(timeout=60)


@pytest.fixture
def config(tiny_data, tmp_path):
    """Two stages, averaged weights, stored scores, a validation every second step and a save at every."""
    stage = replace(AUGMENTED, num_steps=4, ema_decay=0.7, optimizer="adamw", learning_rate=1e-3)
    return TrainConfig(
        data=tiny_data,
        output=tmp_path / "run",
        network="compact_context",
        device="cpu",
        precision="float32",
        save_every=1,
        validate_every=2,
        front_end=stage,
        context=PLAIN,
    )


def finish(forked, config):
    """Go on to the end; what the run then has left must be that of a whole one."""
    answer = forked(config)
    assert answer["status"] == 0, config.output.with_suffix(".log").read_text()
    assert not [path for path in config.output.iterdir() if path.name.startswith(".")]  # nothing half written


@pytest.mark.slow
def test_twenty_kills_at_random_moments_each_leave_what_becomes_the_whole_run(forked, config):
    whole = replace(config, output=config.output.with_name("whole"))
    seconds = forked(whole)["seconds"]
    moments = np.random.default_rng(0).uniform(0, seconds, NUM_MOMENTS)
    killed = 0
    for number, moment in enumerate(moments):
        one = replace(config, output=config.output.with_name(f"run{number}"))
        killed += forked(one, after=moment)["status"] == KILLED
        finish(forked, one)
        assert_same(one.output, whole.output)
    assert killed > NUM_MOMENTS // 2  # the others had ended by then


@pytest.mark.slow
def test_a_run_killed_again_and_again_becomes_the_whole_run(forked, config):
    whole = replace(config, output=config.output.with_name("whole"))
    seconds = forked(whole)["seconds"]
    for moment in np.random.default_rng(1).uniform(0, seconds, 6):
        forked(config, after=moment)
    finish(forked, config)
    assert_same(config.output, whole.output)


@pytest.mark.slow
@pytest.mark.parametrize("share", [1 / 20, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_a_kill_before_any_operation_on_a_file_leaves_what_becomes_the_whole_run(forked, config, share):
    """Before each opening, renaming and removing of a file of the run; of each 20th unless exhaustive."""
    config = replace(config, **{name: replace(stage, num_steps=2) for name, stage in config.stages.items()})
    whole = replace(config, output=config.output.with_name("whole"))
    operations = int(forked(whole)["operations"])
    assert operations > 50
    for event in range(1, operations + 1, round(1 / share)):
        one = replace(config, output=config.output.with_name(f"run{event}"))
        assert forked(one, event=event)["status"] == KILLED
        finish(forked, one)
        assert_same(one.output, whole.output)
