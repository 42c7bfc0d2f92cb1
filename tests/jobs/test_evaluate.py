import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from atrous.data.open import open_dataset
from atrous.errors import CheckpointError, ConfigError, DataError
from atrous.evaluation.metrics import confusion_matrix
from atrous.jobs.evaluate import EvaluateConfig, run
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.predict import PredictConfig
from atrous.jobs.predict import run as predict
from atrous.jobs.progress import drain

CPU = InferenceSettings(device="cpu")


def test_evaluate_scores_what_predict_writes(tmp_path, tiny_data, tiny_checkpoint):
    result = drain(run(EvaluateConfig(tiny_data, tiny_checkpoint, inference=CPU, output=tmp_path / "scores")))
    images = tiny_data / "val/images"
    drain(predict(PredictConfig((str(images),), tiny_checkpoint, output=tmp_path / "out", inference=CPU)))
    expected = np.zeros((3, 3), np.int64)
    for sample in (dataset := open_dataset(tiny_data, "val"))[0], dataset[1]:
        with Image.open(tmp_path / f"out/{sample.name}.png") as written:
            expected += confusion_matrix(np.asarray(written), sample.labels, 3)
    assert np.array_equal(result.to_dict()["confusion_matrix"], expected)
    stored = json.loads((tmp_path / "scores/scores.json").read_text())
    assert stored == json.loads(json.dumps(result.to_dict()))
    assert {"mean_iou", "per_class_iou", "pixel_accuracy", "confusion_matrix"} <= stored.keys()
    assert (tmp_path / "scores/confusion.png").exists()


def test_evaluate_with_flips_and_scales_gives_scores(tiny_data, tiny_checkpoint):
    settings = EvaluateConfig(tiny_data, tiny_checkpoint, inference=CPU)
    plain = drain(run(settings))
    averaged = drain(run(replace(settings, inference=replace(CPU, flip=True, scales=(0.75, 1.0)))))
    total = np.sum(averaged.to_dict()["confusion_matrix"])
    assert total == np.sum(plain.to_dict()["confusion_matrix"])


def test_evaluate_refuses_other_classes(tiny_data, tiny_checkpoint):
    (tiny_data / "labels.toml").write_text('names = ["a", "b", "c", "d"]')
    with pytest.raises(DataError, match="3 classes and the data 4"):
        drain(run(EvaluateConfig(tiny_data, tiny_checkpoint, inference=CPU)))


def test_evaluate_refuses_a_checkpoint_cut_short(tiny_data, tiny_checkpoint):
    tiny_checkpoint.write_bytes(tiny_checkpoint.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cut short"):
        drain(run(EvaluateConfig(tiny_data, tiny_checkpoint, inference=CPU)))


def test_evaluate_matches_classes_by_name_in_whatever_order(tiny_data, tiny_checkpoint):
    settings = EvaluateConfig(tiny_data, tiny_checkpoint, inference=CPU)
    expected = drain(run(settings)).scores
    (tiny_data / "labels.toml").write_text('names = ["Sky", "wall", "ground"]\nvalues = [2, 1, 0]')
    scores = drain(run(settings)).scores
    assert scores.to_dict() == expected.to_dict()
    per_class_iou = scores.to_dict()["per_class_iou"]
    assert isinstance(per_class_iou, dict)
    assert list(per_class_iou) == ["ground", "wall", "sky"]


def test_evaluate_refuses_as_many_classes_of_other_names(tiny_data, tiny_checkpoint):
    (tiny_data / "labels.toml").write_text('names = ["sky", "wall", "floor"]')
    with pytest.raises(DataError, match="only in the data: floor; only wanted: ground"):
        drain(run(EvaluateConfig(tiny_data, tiny_checkpoint, inference=CPU)))


@pytest.mark.parametrize("scales", [(), (0.0,), (float("nan"),), (1e9,)])
def test_evaluate_refuses_impossible_scales(tiny_data, tiny_checkpoint, scales):
    with pytest.raises(ConfigError, match="scales"):
        drain(run(EvaluateConfig(tiny_data, tiny_checkpoint, inference=replace(CPU, scales=scales))))


def test_evaluate_asks_for_the_protocol(tiny_data, tiny_checkpoint):
    released = replace(CPU, protocol="released")
    settings = EvaluateConfig(tiny_data, tiny_checkpoint, inference=released)
    with pytest.raises(ConfigError, match="this network was not published with one"):
        drain(run(settings))
    with pytest.raises(ConfigError, match="leave out scales and flip"):
        drain(run(replace(settings, inference=replace(released, scales=(0.5,)))))


def test_evaluate_says_what_computed_where_it_is_not_the_network_itself(tiny_data, tiny_checkpoint):
    config = EvaluateConfig(tiny_data, tiny_checkpoint, inference=CPU)
    assert not any(step.message for step in run(config))
    rough = replace(config, inference=replace(CPU, precision="bfloat16"))
    assert [step.message for step in run(rough) if step.message] == [
        "computed by torch on cpu, bfloat16, channels_last"
    ]
