"""What computes is chosen for the machine and the images, and said."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.errors import ConfigError, OutputError
from atrous.inference.machine import fast_in_bfloat16
from atrous.inference.predictor import Predictor
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.predict import PredictConfig, run
from atrous.jobs.predict_kinds import COMPILING_PAYS
from atrous.jobs.progress import drain

CPU = InferenceSettings(device="cpu")


def write_photos(folder: Path, count: int) -> Path:
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(count):
        pixels = generator.integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def predict(photos: Path, checkpoint: Path, inference: InferenceSettings):
    config = PredictConfig((str(photos),), checkpoint, photos.with_name("out"), inference=inference)
    job, said = run(config), []
    while True:
        try:
            said.append(next(job).message)
        except StopIteration as stop:
            return stop.value, [message for message in said if message]


def label_map(path: Path) -> np.ndarray:
    with Image.open(path) as written:
        return np.asarray(written)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_predict_takes_the_precision_of_the_machine_and_says_so(tmp_path, tiny_checkpoint):
    photos = write_photos(tmp_path / "photos", 1)
    config = PredictConfig((str(photos),), tiny_checkpoint, tmp_path / "out")
    assert config.inference.precision == "auto"
    inference = replace(config.inference, device="cpu")
    result, said = predict(photos, tiny_checkpoint, inference)
    precision = "bfloat16" if fast_in_bfloat16(torch.device("cpu")) else "float32"
    assert len(said) == 1
    assert said[0].startswith(f"computed by torch on cpu, {precision}")
    assert result.to_dict()["engine"] in said[0]
    expected = Predictor(tiny_checkpoint, device="cpu", precision="auto")(photos / "0.png")
    assert np.array_equal(label_map(tmp_path / "out/0.png"), expected.label_map)


def test_float32_is_one_flag_away(tmp_path, tiny_checkpoint):
    photos = write_photos(tmp_path / "photos", 1)
    _, said = predict(photos, tiny_checkpoint, replace(CPU, precision="float32"))
    assert "float32" in said[0]
    expected = Predictor(tiny_checkpoint, device="cpu")(photos / "0.png")
    assert np.array_equal(label_map(tmp_path / "out/0.png"), expected.label_map)


def test_another_precision_is_another_result(tmp_path, tiny_checkpoint):
    photos = write_photos(tmp_path / "photos", 1)
    predict(photos, tiny_checkpoint, replace(CPU, precision="float32"))
    config = PredictConfig((str(photos),), tiny_checkpoint, tmp_path / "out", resume=True)
    with pytest.raises(OutputError, match='made with precision "float32", and not "bfloat16"'):
        drain(run(replace(config, inference=replace(CPU, precision="bfloat16"))))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"precision": "int8"}, "calibration"),
        ({"precision": "int8", "engine": "torch"}, "openvino"),
        ({"calibration": Path()}, "leave it out"),
    ],
)
def test_what_cannot_be_computed_is_refused(tmp_path, tiny_checkpoint, wrong, reason):
    pytest.importorskip("openvino")
    photos = write_photos(tmp_path / "photos", 1)
    with pytest.raises(ConfigError, match=reason):
        predict(photos, tiny_checkpoint, replace(CPU, **wrong))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_many_images_of_one_size_are_compiled_for(tmp_path, tiny_checkpoint):
    pytest.importorskip("openvino")
    photos = write_photos(tmp_path / "photos", COMPILING_PAYS)
    _, said = predict(photos, tiny_checkpoint, replace(CPU, precision="auto"))
    assert said[0].startswith("computed by OpenVINO")
    expected = Predictor(tiny_checkpoint, device="cpu")
    same = [
        np.mean(label_map(tmp_path / f"out/{n}.png") == expected(photos / f"{n}.png").label_map)
        for n in range(COMPILING_PAYS)
    ]
    assert np.mean(same) > 0.9  # bfloat16 on noise


@pytest.mark.slow
def test_int8_says_how_many_labels_it_keeps(tmp_path, tiny_checkpoint):
    pytest.importorskip("nncf")
    photos = write_photos(tmp_path / "photos", 10)
    inference = replace(CPU, precision="int8", calibration=photos)
    result, said = predict(photos, tiny_checkpoint, inference)
    assert "labels as in float32 on 2 images beside them" in said[-1]
    assert not result.failed
    json.dumps(result.to_dict())
