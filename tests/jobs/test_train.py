import csv
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from atrous.checkpoint import load_checkpoint, load_tensors, save_checkpoint
from atrous.config import load_toml
from atrous.data.open import open_dataset
from atrous.errors import CheckpointError, ConfigError, OutputError, StoppedError, TrainingError
from atrous.evaluation.evaluate import evaluate
from atrous.inference.predictor import Predictor
from atrous.jobs.run_folder import RunFolder
from atrous.jobs.train import TrainConfig, run, train
from atrous.models.catalog import build_network, load_network, to_checkpoint
from atrous.models.contract import Normalization
from atrous.training.settings import Stage
from jobs.runs import AUGMENTED, PLAIN, advance, assert_same, left_behind, resumed


@pytest.fixture
def config(tiny_data, tmp_path):
    """All three stages, the context module on cached scores, a save now and then."""
    return TrainConfig(
        data=tiny_data,
        output=tmp_path / "run",
        network="compact_context",
        device="cpu",
        precision="float32",
        save_every=3,
        front_end=AUGMENTED,
        context=PLAIN,
        joint=replace(AUGMENTED, schedule="step", loss_stride=4, frozen=("conv1_",)),
    )


LIGHTEST = "sgd without momentum, class weights, one stage"
VARIANTS = {
    "sgd, cached context": {},
    "adamw, average, uncached context": {
        name: replace(AUGMENTED, optimizer="adamw", learning_rate=1e-3, accumulate=2, ema_decay=0.6)
        for name in ("front_end", "context", "joint")
    }
    | {"validate_every": 3},
    LIGHTEST: {
        "context": Stage(),
        "joint": Stage(),
        "front_end": replace(AUGMENTED, momentum=0.0, class_weights="median_frequency", loss="focal+lovasz"),
        "val_split": "",
    },
}


@pytest.mark.parametrize(
    "variant",
    [pytest.param(name, marks=[pytest.mark.slow] * (name != LIGHTEST)) for name in VARIANTS],
)
def test_a_run_stopped_anywhere_and_resumed_is_the_uninterrupted_one_bit_for_bit(config, variant):
    whole = replace(config, **VARIANTS[variant])
    train(whole)
    broken = replace(whole, output=config.output.with_name("broken"))
    advance(broken, "front_end", 1)
    with pytest.raises(StoppedError, match="stopped after step 3 of front_end, all saved; add --resume"):
        advance(resumed(broken), "front_end", 2, number=signal.SIGTERM)
    if "context" in whole.stages:
        if whole.context.scale == (1.0, 1.0):
            with pytest.raises(StoppedError, match="stopped after step 0 of context"):
                advance(resumed(broken), "front-end scores", 2, number=signal.SIGINT)
        with pytest.raises(StoppedError, match="stopped after step 2 of context"):
            advance(resumed(broken), "context", 1, number=signal.SIGINT)
        advance(resumed(broken), "context", 3)
        advance(resumed(broken), "joint", 3)
    train(resumed(broken))
    assert_same(broken.output, whole.output)


@pytest.mark.slow
def test_a_stop_says_how_to_go_on_and_which_signal_it_was(config):
    with pytest.raises(StoppedError) as stopped:
        advance(config, "front_end", 1, number=signal.SIGINT)
    assert stopped.value.exit_code == 130
    with pytest.raises(StoppedError) as stopped:
        advance(resumed(config), "front_end", 3, number=signal.SIGTERM)
    assert stopped.value.exit_code == 0


@pytest.mark.slow
def test_a_finished_run_resumed_returns_what_it_had(config):
    first = train(config)
    before = {path: path.stat().st_mtime_ns for path in config.output.iterdir()}
    again = train(resumed(config))
    assert again.checkpoint == first.checkpoint
    assert again.to_dict() == first.to_dict()
    assert {path: path.stat().st_mtime_ns for path in config.output.iterdir()} == before


@pytest.mark.slow
def test_a_stage_killed_between_its_last_two_lines_is_finished_on_resume(config):
    config = replace(config, context=Stage(), joint=Stage())
    train(config)
    model = RunFolder(config.output).stage_model("front_end")
    model.unlink()
    train(resumed(config))
    assert model.read_bytes() == (config.output / "model.safetensors").read_bytes()


def test_a_run_leaves_what_its_folder_promises(config):
    config = replace(config, front_end=replace(AUGMENTED, num_steps=12), joint=Stage())
    result = train(config)
    names = {path.name for path in config.output.iterdir()}
    models = {"model.safetensors", "last.safetensors", "front_end.safetensors", "context.safetensors"}
    assert names == models | {"recipe.toml", "provenance.json", "log.csv", "curves.png"}
    assert load_toml(config.output / "recipe.toml", TrainConfig) == config
    assert result.checkpoint == config.output / "model.safetensors"
    with (config.output / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["step"]), row["stage"]) for row in rows] == [
        (10, "front_end"),
        (12, "front_end"),
        (16, "context"),
    ]
    assert [row["val_mean_iou"] != "" for row in rows] == [False, True, True]
    assert all(float(row["loss"]) > 0 and 0 <= float(row["waiting"]) <= 1 for row in rows)


@pytest.mark.slow
def test_runs_on_the_same_front_end_share_its_scores(config, tmp_path):
    config = replace(config, joint=Stage(), score_cache=tmp_path / "scores")
    train(config)
    (cache,) = (tmp_path / "scores").iterdir()
    written = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(written) == 4 * 2  # mirrored too
    front_end = config.output / "front_end.safetensors"
    other = replace(config, output=tmp_path / "other", front_end=Stage(), init=front_end)
    train(other)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == written
    ours, theirs = (load_network(run.output / "context.safetensors").state_dict() for run in (config, other))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.slow
def test_scores_are_those_of_the_best_network_of_each_stage(config):
    """What the run reports of a stage is what `evaluate` says about the network that it left."""
    result = train(replace(config, validate_every=2, joint=Stage()))
    val_set = open_dataset(config.data, "val")
    rows = RunFolder(config.output).load_state().position.rows
    for stage in ("front_end", "context"):
        scores, path = result.scores[stage], RunFolder(config.output).stage_model(stage)
        assert evaluate(Predictor(path, device="cpu"), val_set).to_dict() == scores.to_dict()
        assert load_checkpoint(path).progress["val_mean_iou"] == scores.figure
        assert scores.figure == max(row.val_mean_iou or 0.0 for row in rows if row.stage == stage)


def test_each_stage_trains_its_part_and_no_other(config):
    train(replace(config, val_split=""))
    front_end, context, joint = (
        load_network(config.output / f"{stage}.safetensors").state_dict()
        for stage in ("front_end", "context", "joint")
    )
    fresh = build_network("compact_context", num_classes=3).state_dict()
    for name, value in context.items():
        if name.startswith("front_end."):
            assert torch.equal(value, front_end[name.removeprefix("front_end.")])
        else:
            assert not torch.equal(value, fresh[name])
    for name, value in joint.items():
        assert torch.equal(value, context[name]) == (".conv1_" in name)  # frozen in that stage


@pytest.mark.slow
def test_averaged_weights_become_the_weights_at_the_end_of_a_stage(config):
    stage = replace(PLAIN, ema_decay=0.8)
    train(replace(config, front_end=stage, context=Stage(), joint=Stage()))
    tensors, _ = load_tensors(config.output / "last.safetensors")
    model = load_network(config.output / "model.safetensors").state_dict()
    for name, value in model.items():
        assert torch.equal(value, tensors[f"network.front_end.{name}"])
        assert torch.equal(value, tensors[f"average.module.{name}"])
    plain = replace(config, output=config.output.with_name("plain"), front_end=PLAIN)
    train(replace(plain, context=Stage(), joint=Stage()))
    other = load_network(plain.output / "model.safetensors").state_dict()
    assert not torch.equal(model["layers.final.weight"], other["layers.final.weight"])


@pytest.mark.slow
def test_starting_weights_are_needed_only_at_the_start(config, tmp_path):
    """Neither they nor the normalization that they bring are read again on resume."""
    network = build_network("compact", num_classes=3)
    network.normalization = Normalization((10.0, 20.0, 30.0), (40.0, 50.0, 60.0), "BGR")
    init = tmp_path / "init.safetensors"
    labels = open_dataset(config.data, "train").label_set.to_dict()
    save_checkpoint(init, to_checkpoint(network, name="compact", labels=labels, progress={}))
    whole = replace(config, init=init, joint=Stage())
    train(whole)
    broken = replace(whole, output=tmp_path / "broken")
    advance(broken, "front_end", 2)
    init.unlink()
    train(resumed(broken))
    assert_same(broken.output, whole.output)
    for stage in ("front_end", "context"):
        assert load_network(broken.output / f"{stage}.safetensors").normalization == network.normalization


def test_a_diverging_run_keeps_what_it_saved(config):
    config = replace(config, save_every=1, front_end=replace(PLAIN, learning_rate=1e30))
    saved = b""
    job = run(config)

    def diverge():
        nonlocal saved
        for progress in job:
            if progress.part == "front_end":
                saved = (config.output / "last.safetensors").read_bytes()

    named = (
        r"front_end: the loss of update 2 is (nan|inf); lower the learning rate or add warmup_steps; "
        r"its crops are of train\d, train\d; what was saved before stays"
    )
    with pytest.raises(TrainingError, match=named):
        diverge()
    assert (config.output / "last.safetensors").read_bytes() == saved
    assert RunFolder(config.output).load_state().position.step == 1


@pytest.mark.slow
def test_a_run_is_not_overwritten(config):
    config = replace(config, context=Stage(), joint=Stage())
    train(config)
    with pytest.raises(OutputError, match="holds a run already; add --resume to go on, or choose another"):
        train(config)


def test_nothing_cannot_be_resumed(config):
    with pytest.raises(CheckpointError, match="holds no run to resume; leave out --resume to start"):
        train(resumed(config))
    assert not config.output.exists()


def test_a_state_cut_short_is_refused(config):
    advance(config, "front_end", 3)
    last = config.output / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"last\.safetensors is cut short"):
        train(resumed(config))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joint": replace(PLAIN, frozen=("conv9_",))}, "joint: frozen = .* matches no layer"),
        ({"network": "compact"}, "context: there is no context module to train"),
        ({"network": "dilation9"}, 'no network "dilation9"'),
        ({"joint": replace(PLAIN, loss="hinge")}, "joint: loss 'hinge'"),
        ({"data": None}, "no data given"),
    ],
)
def test_mistakes_show_before_the_first_update(config, change, message):
    with pytest.raises(ConfigError, match=message):
        train(replace(config, **change))
    assert not (config.output / "last.safetensors").exists()


@pytest.mark.parametrize(
    "change", [{"seed": -1}, {"save_every": 0}, {"validate_every": -1}], ids=lambda change: next(iter(change))
)
def test_config_refuses_numbers_that_cannot_be(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        TrainConfig(**change)


@pytest.mark.slow
def test_seeds_make_different_runs_and_the_same_seed_the_same(config):
    config = replace(config, context=Stage(), joint=Stage(), val_split="")
    outputs = [config.output.with_name(name) for name in "abc"]
    for seed, output in zip((1, 1, 2), outputs, strict=True):
        train(replace(config, seed=seed, output=output))
    assert_same(outputs[0], outputs[1])
    first, other = (left_behind(output)[0] for output in outputs[1:])
    name = "last.safetensors: network.front_end.layers.final.weight"
    assert not np.array_equal(first[name], other[name])
