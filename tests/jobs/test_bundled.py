"""The network that comes with the package, asked where no checkpoint is given."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.checkpoint import BUNDLED, load_checkpoint
from atrous.data.camvid import CAMVID_LABELS
from atrous.data.folder import Dataset
from atrous.data.open import open_dataset
from atrous.errors import CheckpointError, ConfigError, DataError
from atrous.evaluation.evaluate import evaluate as evaluate_predictor
from atrous.evaluation.metrics import Scores
from atrous.inference.predictor import Predictor
from atrous.jobs.evaluate import EvaluateConfig
from atrous.jobs.evaluate import run as evaluate
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.predict import PredictConfig
from atrous.jobs.predict import run as predict
from atrous.jobs.progress import drain
from atrous.jobs.refine import RefineConfig
from atrous.jobs.refine import run as refine
from atrous.models.catalog import build_network, load_network
from atrous.models.pretrained import initialize_

MOST_BYTES = 10_000_000
NAME = Path("street")
CPU = InferenceSettings(device="cpu")
PUBLISHED = 0.737  # mean IoU on the validation images of CamVid, by its card


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    Image.fromarray(pixels).save("photo.png")
    return "photo.png"


def messages(job):
    return [progress.message for progress in job if progress.message]


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_network_is_small_in_half_precision_and_beside_its_licence(name):
    path = BUNDLED[name]
    assert path.stat().st_size <= MOST_BYTES
    tensors = load_checkpoint(path).tensors.values()
    assert {tensor.dtype for tensor in tensors} == {torch.float16, torch.int64}
    assert "research" in path.with_name("LICENSE").read_text()
    assert name in path.with_name("README.md").read_text()


def test_it_computes_in_float32_with_the_classes_of_camvid():
    predictor = Predictor("street", device="cpu")
    assert predictor.label_set == CAMVID_LABELS
    assert {parameter.dtype for parameter in predictor.network.parameters()} == {torch.float32}


@pytest.mark.slow
def test_predict_without_a_checkpoint_says_so_and_labels_as_it(photo):
    said = messages(predict(PredictConfig((photo,), inference=CPU)))
    assert any("street, which comes with atrous" in line and "research" in line for line in said)
    with Image.open("predictions/photo.png") as written:
        assert np.array_equal(np.asarray(written), Predictor("street", device="cpu")(photo).label_map)


def test_predict_with_a_checkpoint_says_nothing_of_it(photo, tiny_checkpoint):
    said = messages(predict(PredictConfig((photo,), tiny_checkpoint, inference=CPU)))
    assert not any("comes with atrous" in line for line in said)


def test_a_file_of_that_name_is_given_with_its_folder(monkeypatch, tiny_checkpoint, tmp_path):
    monkeypatch.chdir(tmp_path)
    shutil.copy(tiny_checkpoint, "street")
    assert load_checkpoint(NAME).network == "street"
    assert load_checkpoint(tmp_path / "street").network == "compact"


@pytest.mark.slow
def test_resumed_predictions_know_it_by_its_content(photo):
    drain(predict(PredictConfig((photo,), inference=CPU)))
    again = drain(predict(PredictConfig((photo,), resume=True, inference=CPU)))
    assert again.skipped
    by_path = PredictConfig((photo,), BUNDLED["street"], resume=True, inference=CPU)
    assert drain(predict(by_path)).skipped


def test_evaluate_says_which_network_before_it_refuses_other_classes(tiny_data):
    job = evaluate(EvaluateConfig(tiny_data, inference=CPU))
    assert "street, which comes with atrous" in next(job).message
    with pytest.raises(DataError, match="11 classes and the data 3"):
        drain(job)


def test_a_search_does_not_write_into_the_package(tiny_data):
    with pytest.raises(ConfigError, match="comes with atrous and is not changed; give an --output"):
        drain(refine(RefineConfig(search=tiny_data, checkpoint=NAME)))


def test_a_training_starts_from_it_by_name():
    network = build_network("street", num_classes=11)
    start = initialize_(network, NAME, label_set=CAMVID_LABELS)
    assert not start.fresh
    wanted = load_network("street").state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in network.state_dict().items())


def test_a_checkpoint_that_is_not_there_is_told_with_those_that_are(tmp_path):
    with pytest.raises(CheckpointError, match="or a bundled one: street"):
        load_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.slow
@pytest.mark.exhaustive  # a minute; every eighth image is judged below
def test_it_scores_on_camvid_what_its_card_says(shared_data):
    config = EvaluateConfig(shared_data / "camvid", inference=replace(CPU, engine="torch"))
    scores = drain(evaluate(config)).scores
    assert isinstance(scores, Scores)
    assert scores.mean_iou == pytest.approx(PUBLISHED, abs=0.0005)


@pytest.mark.slow
def test_it_scores_on_some_of_camvid_about_what_its_card_says(shared_data):
    dataset = open_dataset(shared_data / "camvid", "val")
    assert isinstance(dataset, Dataset)
    some = replace(dataset, pairs=dataset.pairs[::8])
    scores = evaluate_predictor(Predictor("street", device="cpu"), some)
    assert scores.mean_iou == pytest.approx(PUBLISHED, abs=0.04)
