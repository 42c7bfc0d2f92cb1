"""Volumes from the data set to the label volume, by the jobs behind the command line."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest

from atrous.checkpoint import load_checkpoint
from atrous.errors import ConfigError, StoppedError
from atrous.jobs.evaluate import EvaluateConfig
from atrous.jobs.evaluate import run as evaluate
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.predict import PredictConfig
from atrous.jobs.predict import run as predict
from atrous.jobs.progress import drain
from atrous.jobs.train import TrainConfig, run, train
from atrous.models.catalog import load_network
from atrous.models.window import Window
from atrous.training.settings import Stage
from data.nifti import load
from jobs.runs import advance, assert_same, resumed
from jobs.volumes import labelled_volume, write_decathlon

STAGE = Stage(
    num_steps=4,
    batch_size=2,
    crop_size=(8, 8, 8),
    scale=(0.9, 1.1),
    mirror=False,
    flips=(1,),
    color=0.2,
    optimizer="adamw",
    learning_rate=5e-3,
    loss="cross_entropy+dice",
)


@pytest.fixture
def config(tmp_path):
    return TrainConfig(
        data=write_decathlon(tmp_path / "volumes", 6),
        output=tmp_path / "run",
        network="context3d",
        device="cpu",
        precision="float32",
        train_split="not-fold0of3",
        val_split="fold0of3",
        save_every=2,
        front_end=STAGE,
    )


@pytest.mark.slow
def test_a_run_stopped_anywhere_and_resumed_is_the_uninterrupted_one_bit_for_bit(config):
    config = replace(config, front_end=replace(STAGE, ema_decay=0.5), validate_every=3)
    train(config)
    broken = replace(config, output=config.output.with_name("broken"))
    advance(broken, "front_end", 1)
    with pytest.raises(StoppedError):
        advance(resumed(broken), "front_end", 2, number=15)
    train(resumed(broken))
    assert_same(broken.output, config.output)


@pytest.mark.slow
def test_the_checkpoint_says_all_that_a_prediction_needs(config, tmp_path):
    result = train(config)
    stored = load_checkpoint(result.checkpoint)
    assert stored.labels["names"] == ["background", "front", "back"]
    assert load_network(result.checkpoint).normalization == Window()
    settings = InferenceSettings(device="cpu")
    wanted = EvaluateConfig(config.data, result.checkpoint, "fold0of3", inference=settings)
    scores = drain(evaluate(wanted)).scores
    assert scores.to_dict() == result.scores["front_end"].to_dict()
    assert np.sum(scores.to_dict()["confusion_matrix"]) == 2 * 10 * 14 * 9  # type: ignore[call-overload]
    image = config.data / "imagesTr" / "v00.nii.gz"
    drain(predict(PredictConfig((str(image),), result.checkpoint, tmp_path / "out", inference=settings)))
    labels = load(tmp_path / "out" / "v00.nii.gz")
    np.testing.assert_array_equal(labels.affine, np.eye(4))
    assert labels.get_data_dtype() == np.uint8
    assert (tmp_path / "out" / "v00.overlay.jpg").exists()


@pytest.mark.slow
def test_without_a_recipe_all_is_picked_and_a_fold_is_held_out(config):
    data = write_decathlon(config.data.with_name("more"), 10)
    job = run(replace(TrainConfig(), data=data, output=config.output, device="cpu", minutes=0.001))
    said = []
    for progress in job:
        said.append(progress.message)
        if progress.part == "front_end":
            job.close()
            break
    text = "\n".join(said)
    assert 'has no split "val": a fifth of "train" is held out, "fold0of5"' in text
    assert "network context3d: the data are volumes" in text
    assert "no flips: anatomy has sides" in text


@pytest.mark.slow
def test_it_learns_a_box_with_two_ends(config, tmp_path):
    stage = replace(STAGE, num_steps=60, flips=(), color=0.0)
    result = train(replace(config, front_end=stage))
    values, truth = labelled_volume(99)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "new.nii")
    settings = InferenceSettings(device="cpu")
    new = str(tmp_path / "new.nii")
    drain(predict(PredictConfig((new,), result.checkpoint, tmp_path / "out", inference=settings)))
    found = np.asarray(load(tmp_path / "out" / "new.nii.gz").dataobj)
    for label in (1, 2):
        overlap = 2 * ((found == label) & (truth == label)).sum()
        assert overlap / ((found == label).sum() + (truth == label).sum()) > 0.8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": "compact"}, "compact labels images, and .* holds volumes"),
        ({"front_end": replace(STAGE, crop_size=(8, 8))}, "front_end: crop_size .* is that of an image"),
        ({"front_end": replace(STAGE, flips=(4,))}, "front_end: flips .* must be axes of a volume"),
        ({"context": STAGE}, "context: there is no context module to train"),
        ({"crf_rnn": STAGE}, "a CRF refines images, not volumes"),
    ],
)
def test_what_does_not_fit_volumes_is_refused_before_the_first_update(config, change, said):
    with pytest.raises(ConfigError, match=said):
        train(replace(config, **change))
    assert not (config.output / "last.safetensors").exists()


def test_a_network_of_volumes_and_images_do_not_fit(tiny_data, config):
    with pytest.raises(ConfigError, match=r"context3d labels volumes, and .* holds images"):
        train(replace(config, data=tiny_data, train_split="train", val_split="val"))


@pytest.mark.slow
@pytest.mark.parametrize("way", [{"crf": True}, {"flip": True}, {"engine": "openvino"}], ids=str)
def test_ways_of_images_are_refused(config, way):
    result = train(replace(config, front_end=replace(STAGE, num_steps=1), val_split=""))
    with pytest.raises(ConfigError, match="volumes"):
        InferenceSettings(device="cpu", **way).predictor(result.checkpoint)
