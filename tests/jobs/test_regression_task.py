"""A regression all the way: trained, stopped, resumed, evaluated, predicted."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atrous.checkpoint import load_checkpoint
from atrous.cli import main
from atrous.config import load_toml
from atrous.data.depth_scenes import DepthScenes
from atrous.data.measured_file import read_values
from atrous.data.open_measured import open_measured
from atrous.data.quantity import DEPTH
from atrous.errors import ConfigError, DataError
from atrous.evaluation.regression import constant_scores
from atrous.inference.predictor import Predictor
from atrous.jobs.evaluate import EvaluateConfig
from atrous.jobs.evaluate import run as evaluate
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.predict import PredictConfig
from atrous.jobs.predict import run as predict
from atrous.jobs.progress import drain
from atrous.jobs.run_folder import RunFolder
from atrous.jobs.train import TrainConfig, train
from atrous.training.settings import Stage
from data.measured_folders import write_depths, write_flows
from jobs.runs import advance, assert_same, resumed

STAGE = Stage(
    num_steps=4, batch_size=2, crop_size=(32, 40), learning_rate=1e-3, optimizer="adamw", loss="silog"
)
RECIPES = Path(__file__).parent.parent.parent / "recipes"
PATH = Path("builtin:depth")
CPU = InferenceSettings(device="cpu")


@pytest.fixture
def depths(tmp_path):
    write_depths(tmp_path / "depths")
    return TrainConfig(
        data=tmp_path / "depths",
        task="regression",
        output=tmp_path / "run",
        network="compact_regressor",
        device="cpu",
        precision="float32",
        validate_every=2,
        joint=replace(STAGE, scale=(0.7, 1.4), color=0.2, ema_decay=0.5),
    )


@pytest.mark.slow
def test_a_stopped_run_goes_on_bit_for_bit(depths, tmp_path):
    train(depths)
    stopped = replace(depths, output=tmp_path / "stopped")
    advance(stopped, "joint", 3)
    train(resumed(stopped))
    assert_same(depths.output, stopped.output)


@pytest.mark.slow
def test_the_best_checkpoint_says_what_it_measures_and_scores_as_in_training(depths, tmp_path):
    result = train(depths)
    checkpoint = load_checkpoint(result.checkpoint)
    quantity = checkpoint.labels["quantity"]
    assert (checkpoint.labels["task"], quantity["kind"], quantity["unit"]) == ("regression", "depth", "m")
    assert depths.data is not None
    config = EvaluateConfig(depths.data, result.checkpoint, output=tmp_path / "scores", inference=CPU)
    scores = drain(evaluate(config)).scores
    assert scores == result.scores["joint"]
    rows = RunFolder(depths.output).load_state().position.rows
    errors = [row.val_error for row in rows if row.val_error is not None]
    assert min(errors) == scores.figure == checkpoint.progress["val_error"]
    stored = json.loads((tmp_path / "scores/scores.json").read_text())
    assert stored["abs_rel"] == scores.figure
    assert (tmp_path / "scores/errors.png").stat().st_size > 10_000
    assert "val_error" in (depths.output / "log.csv").read_text()
    assert "absolute relative error" in result.to_table()


@pytest.mark.slow
def test_flow_is_trained_on_pairs_and_predicted_from_frame_to_frame(tmp_path):
    write_flows(tmp_path / "flows")
    output, frames = tmp_path / "run", tmp_path / "flows/train/images"
    stage = replace(STAGE, loss="l1")
    config = TrainConfig(
        tmp_path / "flows", output, "regression", "compact", device="cpu", precision="float32", joint=stage
    )
    result = train(config)
    assert load_checkpoint(result.checkpoint).arguments["in_channels"] == 6
    written = drain(
        predict(PredictConfig((str(frames),), result.checkpoint, tmp_path / "out", inference=CPU))
    )
    assert [path.name for path in written.written] == ["s0.png", "s0.flo", "s1.png", "s1.flo"]  # type: ignore[union-attr]
    assert written.to_table().startswith("2 flow fields written, the first is")
    again = replace(
        PredictConfig((str(frames),), result.checkpoint, tmp_path / "out", inference=CPU), resume=True
    )
    assert len(drain(predict(again)).skipped) == 2
    with pytest.raises(DataError, match=r"no folder has two; give frames in order"):
        drain(predict(PredictConfig((str(frames / "s0.png"),), result.checkpoint, tmp_path / "two")))


@pytest.mark.slow
def test_depth_is_predicted_in_float32(depths, tmp_path):
    checkpoint = train(replace(depths, val_split="")).checkpoint
    image = tmp_path / "depths/val/images/s0.png"
    config = PredictConfig((str(image),), checkpoint, tmp_path / "out")
    result = drain(predict(config))
    assert "float32" in result.engine
    values = read_values(tmp_path / "out/s0.tif", DEPTH, scale=None)
    np.testing.assert_allclose(values, Predictor(checkpoint)(image).values, rtol=1e-6)
    with pytest.raises(ConfigError, match=r"are for labels, and the network gives depth"):
        drain(predict(replace(config, save_probabilities=True, overwrite=True)))
    with pytest.raises(ConfigError, match=r"a CRF refines classes, and depth has none"):
        drain(predict(replace(config, inference=replace(CPU, crf=True), overwrite=True)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "compact_context"}, r"context module of compact_context works on as many channels"),
        ({"joint": replace(STAGE, loss="dice")}, r"joint: loss 'dice' names 'dice', and a regression takes"),
        ({"joint": replace(STAGE, class_weights="median_frequency")}, r"class_weights are for classes"),
        ({"crf_rnn": STAGE}, r"crf_rnn refines classes, and depth has none"),
    ],
)
def test_what_does_not_go_with_a_regression_is_refused(depths, change, message):
    with pytest.raises(ConfigError, match=message):
        train(replace(depths, **change))


def test_the_task_and_the_data_must_agree(depths, tiny_data):
    with pytest.raises(
        DataError, match=r"holds measured values and no labels; atrous train learns them with --task"
    ):
        train(replace(depths, task="segmentation"))
    with pytest.raises(DataError, match=r"holds no measured values; put images into"):
        train(replace(depths, data=tiny_data))


def test_mistakes_are_told_before_training(depths):
    assert depths.data is not None
    (depths.data / "values.toml").unlink()
    with pytest.raises(DataError, match=r"nothing says how much 1 is.*Run `atrous check"):
        train(depths)


@pytest.mark.slow
def test_a_built_in_set_implies_its_task(tmp_path, capsys):
    words = ["train", "builtin:flow", "-o", str(tmp_path / "run"), "--network", "compact", "--val-split", ""]
    words += ["--joint.num-steps", "1", "--joint.batch-size", "1", "--joint.loss", "l1"]
    assert main([*words, "--device", "cpu"]) == 0
    assert load_toml(tmp_path / "run/recipe.toml", TrainConfig).task == "regression"
    assert (
        main(["evaluate", "--checkpoint", str(tmp_path / "run/model.safetensors"), "--data", "builtin:depth"])
        == 1
    )
    assert "gives flow in px, and the data hold depth in m" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.exhaustive  # half a minute
def test_depth_is_learned_from_context_and_beats_what_has_not_looked(tmp_path):
    """The recipe, cut to 150 steps: with context far better than the mean, and than the front end alone."""
    recipe = load_toml(RECIPES / "depth_scenes.toml", TrainConfig)
    short = replace(recipe.joint, num_steps=150, loss="silog")
    figures = {}
    for network in ("compact_regressor", "compact"):
        output = tmp_path / network
        config = replace(recipe, data=PATH, output=output, network=network, joint=short, validate_every=0)
        figures[network] = train(config).scores["joint"].to_dict()["silog"]
    scenes = open_measured(PATH, "train")
    mean = np.exp(np.mean([np.nanmean(np.log(scenes[index].values)) for index in range(20)]))
    constant = constant_scores(DepthScenes("val"), np.array([mean], np.float32)).values["silog"]
    assert figures["compact_regressor"] < 0.8 * figures["compact"] < 0.8 * constant
