"""The verb refine on one image."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.checkpoint import load_checkpoint, save_checkpoint
from atrous.crf.dense_crf import DenseCRF
from atrous.crf.kernels import Bilateral, Spatial
from atrous.crf.rnn import CRFRNN
from atrous.crf.stored import with_crf
from atrous.errors import ConfigError, DataError, OutputError, ShapeError
from atrous.inference.predictor import Predictor
from atrous.jobs.crf_settings import CRFSettings
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.predict import PredictConfig
from atrous.jobs.predict import run as predict
from atrous.jobs.progress import drain
from atrous.jobs.refine import RefineConfig, RefineResult, run

SETTINGS = CRFSettings(sigma_xy=6.0, sigma_rgb=20.0, num_steps=3)


@pytest.fixture
def scene(tmp_path):
    """An image of two halves and noisy logits of three classes for it, in files, and both as tensors."""
    generator = np.random.default_rng(0)
    truth = np.zeros((24, 31), int)
    truth[:, 15:] = 1
    image = (60 + 120 * truth[..., None] + generator.normal(0, 8, (24, 31, 3))).clip(0, 255).astype(np.uint8)
    logits = np.eye(3)[truth].transpose(2, 0, 1) + generator.normal(0, 1, (3, 24, 31))
    Image.fromarray(image).save(tmp_path / "image.png")
    np.savez(tmp_path / "scores.npz", logits=logits.astype(np.float32))
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    return pixels, torch.from_numpy(logits.astype(np.float32))[None], truth


@pytest.fixture
def config(scene, tmp_path):  # noqa: ARG001 (writes the files)
    return RefineConfig(
        tmp_path / "image.png", scores=tmp_path / "scores.npz", output=tmp_path / "out/refined.png"
    )


def refine(config) -> RefineResult:
    result = drain(run(config))
    assert isinstance(result, RefineResult)
    return result


def label_map_of(path):
    with Image.open(path) as written:
        return np.asarray(written)


def test_it_writes_what_the_dense_crf_gives(config, scene, tmp_path):
    pixels, logits, truth = scene
    result = refine(replace(config, settings=SETTINGS, save_probabilities=True))
    crf = DenseCRF((Spatial(), Bilateral(6.0, 20.0, 10.0)), num_steps=3)
    expected = crf(logits, pixels)[0]
    assert np.array_equal(label_map_of(tmp_path / "out/refined.png"), expected.argmax(0).numpy())
    assert np.array_equal(expected.argmax(0).numpy(), truth)  # from noise
    with np.load(tmp_path / "out/refined.npz") as stored:
        np.testing.assert_allclose(stored["probabilities"], expected, atol=1e-3)
    assert [path.name for path in result.written] == ["refined.png", "refined.overlay.jpg", "refined.npz"]
    assert result.changed == (logits[0].argmax(0).numpy() != truth).mean()
    assert result.shares["class 0"] == ((logits[0].argmax(0).numpy() == 0).mean(), (truth == 0).mean())
    assert result.shares["class 2"][1] == 0


def test_the_result_is_shown_as_text_and_json(config):
    result = refine(replace(config, settings=SETTINGS))
    assert "of the pixels changed their class" in result.to_table()
    assert (
        "sigma_xy 6, sigma_rgb 20, bilateral_weight 10, num_steps 3, normalization symmetric"
        in result.to_table()
    )
    assert json.loads(json.dumps(result.to_dict()))["crf"]["sigma_xy"] == 6.0


def test_what_predict_writes_is_refined_as_predict_would(tmp_path, tiny_data, tiny_checkpoint):
    image = tiny_data / "val/images/val0.png"
    common = {"checkpoint": tiny_checkpoint, "save_probabilities": True}
    cpu = InferenceSettings(device="cpu")
    drain(predict(PredictConfig((str(image),), output=tmp_path / "plain", inference=cpu, **common)))
    drain(
        predict(
            PredictConfig((str(image),), output=tmp_path / "crf", inference=replace(cpu, crf=True), **common)
        )
    )
    scores = tmp_path / "plain/val0.npz"
    drain(
        run(RefineConfig(image, scores=scores, output=tmp_path / "refined.png", checkpoint=tiny_checkpoint))
    )
    refined, expected = label_map_of(tmp_path / "refined.png"), label_map_of(tmp_path / "crf/val0.png")
    assert (refined == expected).mean() > 0.99  # probabilities are rounded to float16 on the way
    with Image.open(tmp_path / "refined.png") as written:
        palette = load_checkpoint(tiny_checkpoint).labels["palette"]
        assert (written.getpalette() or [])[:9] == [value for color in palette for value in color]


@pytest.mark.parametrize("learned", [False, True])
def test_the_crf_of_the_checkpoint_is_applied(config, scene, tiny_checkpoint, learned):
    pixels, logits, _ = scene
    dense = DenseCRF([Spatial(2, 1.5)], num_steps=10, normalization="after")
    crf = CRFRNN.from_dense(dense, num_classes=3) if learned else dense
    save_checkpoint(tiny_checkpoint, with_crf(load_checkpoint(tiny_checkpoint), crf))
    result = refine(replace(config, checkpoint=tiny_checkpoint))
    expected = dense(logits, pixels)[0].argmax(0).numpy()
    assert np.array_equal(label_map_of(result.written[0]), expected)
    assert result.crf.get("learned", False) == learned
    given = replace(config, checkpoint=tiny_checkpoint, settings=CRFSettings(num_steps=1), overwrite=True)
    if learned:
        with pytest.raises(ConfigError, match="carries a learned CRF, which keeps its own settings"):
            refine(given)
        return
    assert refine(given).crf == {**result.crf, "num_steps": 1}


def test_names_and_colors_come_from_a_labels_toml(config, tmp_path):
    (tmp_path / "labels.toml").write_text('names = ["left", "right", "none"]')
    result = refine(replace(config, labels=tmp_path / "labels.toml"))
    assert {"left", "right"} <= result.shares.keys() <= {"left", "right", "none"}
    with pytest.raises(DataError, match=r"no labels\.toml at"):
        refine(replace(config, labels=tmp_path / "none.toml", overwrite=True))
    (tmp_path / "labels.toml").write_text('names = ["left", "right"]')
    with pytest.raises(ShapeError, match=r"scores of 3 classes, and .*labels.toml names 2"):
        refine(replace(config, labels=tmp_path / "labels.toml", overwrite=True))


def test_without_change_nothing_is_said_to_have_changed(config):
    result = refine(replace(config, settings=CRFSettings(num_steps=0), overlay=False))
    assert result.changed == 0
    assert all(before == after for before, after in result.shares.values())
    assert [path.name for path in result.written] == ["refined.png"]


def test_nothing_is_overwritten_unasked(config, tmp_path):
    refine(config)
    with pytest.raises(OutputError, match=r"refined\.png is there already; add --overwrite"):
        refine(config)
    refine(replace(config, overwrite=True))
    with pytest.raises(ConfigError, match="is one of the inputs"):
        refine(replace(config, output=tmp_path / "image.png", overwrite=True))
    with pytest.raises(ConfigError, match="is one of the inputs"):
        refine(replace(config, output=tmp_path / "scores.png", save_probabilities=True))


def test_scores_of_another_size_are_refused(config, tmp_path):
    np.savez(tmp_path / "scores.npz", logits=np.zeros((3, 3, 4), np.float32))
    with pytest.raises(ShapeError, match="scores of 3 x 4 px for an image of 24 x 31 px"):
        refine(config)


def test_missing_and_broken_files_are_refused(config, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        refine(replace(config, image=tmp_path / "none.png"))
    (tmp_path / "scores.npz").write_bytes(b"x")
    with pytest.raises(DataError, match="cannot be read as an npz"):
        refine(config)
    assert not (tmp_path / "out").exists()


IMAGE = {"image": "a.png", "scores": "a.npz"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give an image with its scores"),
        ({"image": "a.png"}, "give an image with its scores"),
        ({"scores": "a.npz"}, "give an image with its scores"),
        ({**IMAGE, "search": "data", "checkpoint": "c"}, "give an image with its scores"),
        ({"search": "data"}, "--search needs a --checkpoint"),
        ({**IMAGE, "checkpoint": "c", "labels": "l"}, "both name the classes"),
        ({**IMAGE, "output": "a.jpg"}, r"is no name of a \.png file"),
        ({"search": "data", "checkpoint": "c", "output": "a.png"}, r"is no name of a \.safetensors file"),
        ({"search": "data", "checkpoint": "c", "num_images": -1}, "num_images is -1"),
        ({**IMAGE, "budget": 5}, "budget says nothing with an image"),
        ({"search": "data", "checkpoint": "c", "opacity": 0.1}, "opacity says nothing with --search"),
    ],
)
def test_contradictions_are_refused(arguments, message, tmp_path):
    paths = {name: tmp_path / value if isinstance(value, str) else value for name, value in arguments.items()}
    with pytest.raises(ConfigError, match=message):
        RefineConfig(**paths)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (CRFSettings(spatial_weight=0, bilateral_weight=0), "leaves no CRF"),
        (CRFSettings(sigma_xy=-1), "no bandwidth"),
        (CRFSettings(sigma_rgb=float("nan")), "no bandwidth"),
        (CRFSettings(num_steps=-1), "no number of updates"),
        (CRFSettings(bilateral_weight=float("inf")), "not finite"),
    ],
)
def test_settings_that_make_no_sense_are_refused(config, settings, message):
    with pytest.raises(ConfigError, match=message):
        refine(replace(config, settings=settings))


def test_settings_change_only_what_is_given():
    found = DenseCRF([Bilateral((3.0, 4.0), 5.0, 6.0)], 7, "none", (0.0, 1.0))
    assert CRFSettings().over(found) == found
    changed = CRFSettings(sigma_rgb=9.0, spatial_weight=2.0).over(found)
    assert changed == replace(found, kernels=(Bilateral((3.0, 4.0), 9.0, 6.0), Spatial(weight=2.0)))
    assert CRFSettings(bilateral_weight=0, spatial_sigma=1.0).over(found).kernels == (Spatial(1.0),)


def test_the_predictor_of_predict_has_the_usual_crf_where_none_is_stored(tiny_checkpoint):
    assert InferenceSettings(device="cpu").predictor(tiny_checkpoint).crf is None
    assert InferenceSettings(device="cpu", crf=True).predictor(tiny_checkpoint).crf == DenseCRF()
    stored = DenseCRF([Spatial(2)])
    save_checkpoint(tiny_checkpoint, with_crf(load_checkpoint(tiny_checkpoint), stored))
    for crf in (False, True):
        assert InferenceSettings(device="cpu", crf=crf).predictor(tiny_checkpoint).crf == stored
    assert InferenceSettings(device="cpu", no_crf=True).predictor(tiny_checkpoint).crf is None
    assert Predictor(tiny_checkpoint, device="cpu", crf=None).crf is None
    with pytest.raises(ConfigError, match="contradict each other"):
        InferenceSettings(crf=True, no_crf=True)
