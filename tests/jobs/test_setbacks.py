"""What ends a training before its time: vanished data, signals, kills; and what is left of it then."""

import csv
import json
import signal
import time
from dataclasses import replace

import pytest

from atrous.errors import DataError, StoppedError
from atrous.jobs.run_folder import RunFolder
from atrous.jobs.train import TrainConfig, run, train
from atrous.training.settings import Stage
from jobs.runs import AUGMENTED, PLAIN, advance, assert_same, resumed

pytestmark = pytest.mark.slow


@pytest.fixture
def config(tiny_data, tmp_path):
    """One stage of several epochs, rarely saved."""
    return TrainConfig(
        data=tiny_data,
        output=tmp_path / "run",
        network="compact",
        device="cpu",
        precision="float32",
        save_every=100,
        front_end=replace(AUGMENTED, num_steps=8),
    )


def whole_run_of(config):
    whole = replace(config, output=config.output.with_name("whole"))
    train(whole)
    return whole.output


def lose(config, path, *, after):
    """Run; the file vanishes after so many updates, under the ending .away."""
    for progress in run(config):
        if progress.part == "front_end" and progress.done == after:
            path.rename(path.with_suffix(".away"))


def test_an_image_that_vanishes_during_an_epoch_costs_no_update(config):
    whole = whole_run_of(config)
    image = config.data / "train/images/train2.png"
    with pytest.raises(DataError, match=r"train2\.png is missing") as told:
        lose(config, image, after=1)
    position = RunFolder(config.output).load_state().position
    assert position.step >= 1
    assert f"; step {position.step} of front_end is saved: mend the data and add --resume" in str(told.value)
    image.with_suffix(".away").rename(image)
    train(resumed(config))
    assert_same(config.output, whole)


def test_a_mask_that_vanishes_before_validation_costs_no_update(config):
    whole = whole_run_of(config)
    mask = config.data / "val/masks/val1.png"
    with pytest.raises(DataError, match=r"val1\.png is missing; .*; step 8 of front_end is saved"):
        lose(config, mask, after=2)
    assert RunFolder(config.output).load_state().position.unvalidated
    mask.with_suffix(".away").rename(mask)
    train(resumed(config))
    assert_same(config.output, whole)


@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_a_stop_inside_validation_waits_for_one_image_and_validates_later(config, decay):
    """Also at the end of a stage, where averaged weights have taken the place of the others."""
    stage = replace(config.front_end, ema_decay=decay)
    config = replace(config, validate_every=4, front_end=stage)
    whole = whole_run_of(config)
    seen = []

    def ask_in_validation(config):
        for progress in run(config):
            if progress.part == "validation":
                seen.append(progress.done)
                signal.raise_signal(signal.SIGTERM)

    for step in (4, 8):
        with pytest.raises(StoppedError, match=f"stopped after step {step} of front_end, all saved"):
            ask_in_validation(replace(config, resume=step == 8))
        assert seen.pop() == 1  # image of 2
        assert not seen
        position = RunFolder(config.output).load_state().position
        assert (position.step, position.unvalidated) == (step, True)
        if step == 4:
            advance(resumed(config), "front_end", 5)
    train(resumed(config))
    assert_same(config.output, whole)
    with (config.output / "log.csv").open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["4", "8"]


def test_a_run_killed_before_its_first_save_starts_anew_by_its_recipe(config):
    whole = whole_run_of(config)
    folder = RunFolder(config.output)
    advance(config, "front_end", 2)
    folder.last.unlink()
    half = config.output / ".last.safetensors.abcdefgh.safetensors"
    half.write_bytes(b"half")
    train(TrainConfig(output=config.output, resume=True))
    assert_same(config.output, whole)
    assert not half.exists()


def test_sigterm_is_answered_within_seconds(config):
    config = replace(config, front_end=replace(config.front_end, num_steps=500))
    job = run(config)

    def ask_once():
        for progress in job:
            if progress.part == "front_end" and progress.done == 3:
                signal.raise_signal(signal.SIGTERM)
                return

    ask_once()
    asked = time.monotonic()
    with pytest.raises(StoppedError) as stopped:
        for _ in job:
            pass
    assert stopped.value.exit_code == 0
    assert time.monotonic() - asked < 5


def test_a_resumed_run_says_that_its_data_are_others(config):
    advance(config, "front_end", 2)
    mask = config.data / "train/masks/train0.png"
    mask.write_bytes(mask.read_bytes() + b" ")  # decoders do not mind
    told = [progress.message for progress in run(resumed(config)) if progress.message]
    assert told[0].startswith(
        "the run goes on, but not as if it had never stopped, since data: train was 4 samples"
    )
    provenance = json.loads((config.output / "provenance.json").read_text())
    assert provenance["data"].keys() == {"train", "val"}  # of the data that it began with


def test_a_resumed_run_on_the_same_data_says_nothing_of_them(config):
    advance(config, "front_end", 2)
    assert not [said.message for said in run(resumed(config)) if "goes on" in said.message]


def test_broken_provenance_stops_nothing(config):
    advance(config, "front_end", 2)
    (config.output / "provenance.json").write_text("{")
    train(resumed(config))
    assert json.loads((config.output / "provenance.json").read_text())["versions"]["atrous"]


def test_a_stage_without_validation_is_stopped_as_before(config):
    config = replace(config, val_split="", context=Stage(), front_end=PLAIN)
    advance(config, "front_end", 3)
    assert not RunFolder(config.output).load_state().position.unvalidated
