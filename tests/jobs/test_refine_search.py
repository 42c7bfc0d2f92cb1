"""The search for settings of a dense CRF on a data set."""

import json
import signal
from dataclasses import replace

import pytest
import torch

from atrous.checkpoint import load_checkpoint, save_checkpoint
from atrous.crf.dense_crf import DenseCRF
from atrous.crf.kernels import Spatial
from atrous.crf.rnn import CRFRNN
from atrous.crf.stored import crf_of, with_crf
from atrous.data.open import open_dataset
from atrous.errors import ConfigError, DataError, OutputError, StoppedError
from atrous.evaluation.evaluate import evaluate
from atrous.inference.predictor import Predictor
from atrous.jobs.crf_settings import CRFSettings
from atrous.jobs.progress import drain
from atrous.jobs.refine import RefineConfig, run
from atrous.jobs.refine_search import SearchOutcome
from atrous.jobs.train import TrainConfig, train
from atrous.training.settings import Stage

SMALL = CRFSettings(sigma_xy=6.0, sigma_rgb=30.0, bilateral_weight=3.0, num_steps=2)


@pytest.fixture
def checkpoint(tiny_data, tmp_path):
    """A network that has learned a little of `tiny_data`."""
    stage = Stage(num_steps=12, batch_size=2, crop_size=(48, 64), learning_rate=0.05)
    config = TrainConfig(
        tiny_data, tmp_path / "run", network="compact", device="cpu", val_split="", front_end=stage
    )
    return train(replace(config, precision="float32")).checkpoint


def search(config) -> SearchOutcome:
    outcome = drain(run(config))
    assert isinstance(outcome, SearchOutcome)
    return outcome


@pytest.fixture
def config(tiny_data, checkpoint):
    return RefineConfig(
        search=tiny_data, checkpoint=checkpoint, settings=SMALL, split="train", budget=30, device="cpu"
    )


def test_the_best_settings_are_saved_and_score_what_the_search_says(config, checkpoint, tiny_data):
    before = load_checkpoint(checkpoint)
    outcome = search(config)
    assert outcome.is_new
    assert outcome.output == checkpoint
    after = load_checkpoint(checkpoint)
    assert crf_of(after, num_classes=3) == outcome.result.crf
    assert all(torch.equal(after.tensors[name], value) for name, value in before.tensors.items())
    train_set = open_dataset(tiny_data, "train")
    assert evaluate(Predictor(checkpoint, device="cpu"), train_set).mean_iou == outcome.result.score
    without = evaluate(Predictor(checkpoint, device="cpu", crf=None), train_set).mean_iou
    assert without == outcome.result.score_without < outcome.result.score
    found = after.progress["crf_search"]
    assert (found["mean_iou"], found["num_images"], found["split"]) == (outcome.result.score, 4, "train")
    assert found["num_trials"] == len(outcome.result.trials) <= 30
    assert {key: after.progress[key] for key in before.progress} == before.progress


@pytest.mark.slow
def test_the_outcome_is_shown_as_text_and_json(config):
    outcome = search(config)
    table = outcome.to_table()
    assert "mean IoU on 4 images" in table
    assert "predict and evaluate apply it, unless told --no-crf" in table
    stored = json.loads(json.dumps(outcome.to_dict()))
    assert stored["mean_iou"] == max(trial["mean_iou"] for trial in stored["trials"])
    assert stored["trials"][0]["sigma_xy"] == 6.0


@pytest.mark.slow
def test_another_output_leaves_the_checkpoint_alone(config, checkpoint, tmp_path):
    content = checkpoint.read_bytes()
    elsewhere = replace(config, output=tmp_path / "refined.safetensors")
    search(elsewhere)
    assert checkpoint.read_bytes() == content
    assert load_checkpoint(tmp_path / "refined.safetensors").crf
    with pytest.raises(OutputError, match="is there already"):
        search(elsewhere)


@pytest.mark.slow
def test_a_crf_that_does_not_help_is_not_saved(config, checkpoint):
    content = checkpoint.read_bytes()
    smear = CRFSettings(spatial_sigma=30.0, spatial_weight=1000.0, bilateral_weight=0.0)
    outcome = search(replace(config, settings=smear, budget=9))
    assert not outcome.is_new
    assert checkpoint.read_bytes() == content
    assert "no setting beats no CRF: none was saved" in outcome.to_table()


SMEAR = DenseCRF([Spatial(30, 1000.0)])


@pytest.mark.slow
def test_a_carried_crf_that_hurts_is_taken_out(config, checkpoint):
    save_checkpoint(checkpoint, with_crf(load_checkpoint(checkpoint), SMEAR))
    outcome = search(replace(config, settings=CRFSettings(), budget=9))
    assert outcome.carried is not None
    assert outcome.carried.score < outcome.result.score_without
    assert crf_of(load_checkpoint(checkpoint), num_classes=3) is None
    assert "the one carried was taken out of" in outcome.to_table()


@pytest.mark.slow
def test_a_carried_crf_that_is_better_than_all_tried_stays(config, checkpoint):
    best = search(config).best.crf
    content = checkpoint.read_bytes()
    worse = CRFSettings(spatial_sigma=30.0, spatial_weight=1000.0, bilateral_weight=0.0)
    outcome = search(replace(config, settings=worse, budget=9))
    assert outcome.best.crf == best
    assert checkpoint.read_bytes() == content
    assert "carries, which stays" in outcome.to_table()


@pytest.mark.slow
def test_a_second_search_goes_on_from_what_the_first_found(config):
    first = search(config)
    second = search(replace(config, settings=CRFSettings()))
    assert second.result.trials[0].crf == first.result.crf
    assert second.result.score >= first.result.score


@pytest.mark.slow
def test_a_learned_crf_is_replaced_only_when_asked(config, checkpoint, tmp_path):
    learned = CRFRNN(num_classes=3, kernels=[Spatial()])
    save_checkpoint(checkpoint, with_crf(load_checkpoint(checkpoint), learned))
    with pytest.raises(ConfigError, match="carries a learned CRF, which the settings found would replace"):
        search(config)
    search(replace(config, output=tmp_path / "other.safetensors"))
    assert isinstance(crf_of(load_checkpoint(checkpoint), num_classes=3), CRFRNN)
    search(replace(config, overwrite=True))
    crf = crf_of(load_checkpoint(checkpoint), num_classes=3)
    assert isinstance(crf, DenseCRF)


def stop_after(config, trials, number) -> SearchOutcome:
    """Search, send a signal after some trials, and take what comes."""
    job = run(config)
    while True:
        try:
            progress = next(job)
        except StopIteration as stop:
            return stop.value
        if (progress.part, progress.done) == ("settings tried", trials):
            signal.raise_signal(number)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_search_that_is_stopped_saves_the_best_so_far(config, checkpoint, number, exit_code):
    outcome = stop_after(config, 20, number)
    assert (outcome.exit_code, outcome.stopped) == (exit_code, True)
    assert "stopped early" in outcome.to_table()
    assert outcome.to_dict()["stopped"] is True
    assert load_checkpoint(checkpoint).progress["crf_search"]["num_trials"] == 20


@pytest.mark.slow
def test_a_search_that_is_stopped_at_once_saves_nothing(config, checkpoint):
    content = checkpoint.read_bytes()
    with pytest.raises(StoppedError, match="before any settings were tried"):
        stop_after(config, 0, signal.SIGINT)
    assert checkpoint.read_bytes() == content


@pytest.mark.slow
def test_images_are_spread_over_the_split(config):
    assert search(replace(config, num_images=2, budget=27)).num_images == 2
    assert search(replace(config, num_images=0, budget=27)).num_images == 4


@pytest.mark.slow
def test_data_of_other_classes_are_refused(config, tiny_data):
    (tiny_data / "labels.toml").write_text('names = ["a", "b"]')
    with pytest.raises(DataError):
        search(config)


@pytest.mark.slow
def test_a_budget_below_the_grid_is_refused(config):
    with pytest.raises(ConfigError, match="a grid of 27 settings exceeds the budget of 5"):
        search(replace(config, budget=5))
