"""Volumes at once and streamed, and what is asked of a network for them in vain."""

import numpy as np
import pytest
import torch
from torch import nn

from atrous.crf.dense_crf import DenseCRF
from atrous.errors import CheckpointError, ConfigError, DataError, ShapeError
from atrous.inference import volume_prediction
from atrous.inference.predictor import Predictor
from atrous.inference.views import Views
from atrous.inference.volume_prediction import labels_of, volume_scores, whole_scores
from atrous.models.catalog import build_network
from atrous.models.context3d import ContextNetwork3D


@pytest.fixture
def network():
    """With batch norms that do something."""
    torch.manual_seed(0)
    made = ContextNetwork3D(3, width=4, dilations=(1, 2, 3))
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm3d):
            nn.init.normal_(layer.running_mean, 0, 0.1)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 2)  # type: ignore[arg-type]
    return made


def volume(*size):
    return np.random.default_rng(0).normal(100, 20, size).astype(np.float32)


def test_a_prediction_is_the_network_on_the_normalized_volume(network):
    values = volume(9, 12, 10)
    prediction = Predictor(network, device="cpu")(values)
    images = network.normalization.apply(torch.from_numpy(values)[None, None])
    with torch.no_grad():
        truth = network.eval()(images)[0]
    torch.testing.assert_close(prediction.logits, truth)
    np.testing.assert_array_equal(prediction.label_map, truth.argmax(0).numpy())
    np.testing.assert_allclose(prediction.probabilities().sum(0), 1, atol=1e-5)
    with pytest.raises(ShapeError, match="a volume or a sound has no overlay"):
        prediction.overlay()


@pytest.mark.parametrize("size", [(30, 9, 11), (9, 30, 8), (8, 9, 40)])
def test_a_streamed_volume_is_the_whole_one(network, monkeypatch, size):
    predictor = Predictor(network, device="cpu")
    whole = predictor(volume(*size))
    monkeypatch.setattr(volume_prediction, "WHOLE_VOXELS", 100)
    monkeypatch.setattr(volume_prediction, "CHUNK_VOXELS", 500)
    parts = list(volume_scores(network, predictor.engine, volume(*size), device=predictor.device))
    assert len(parts) > 3
    assert {axis for axis, _ in parts} == {1 + int(np.argmax(size))}
    torch.testing.assert_close(whole_scores(iter(parts)), whole.scores)
    np.testing.assert_array_equal(labels_of(iter(parts)), whole.label_map)


def test_a_large_volume_is_refused_by_a_network_that_sees_all_of_it(network, monkeypatch):
    network.layers[0].norm = nn.InstanceNorm3d(4)
    predictor = Predictor(network, device="cpu")
    assert predictor(volume(9, 9, 12)).label_map.shape == (9, 9, 12)
    monkeypatch.setattr(volume_prediction, "WHOLE_VOXELS", 100)
    with pytest.raises(ShapeError, match=r"9 x 9 x 12 voxels is too large .* cut it into smaller volumes"):
        predictor(volume(9, 9, 12))


@pytest.mark.parametrize(
    "way", [{"views": Views(flip=True)}, {"views": Views((0.5,))}, {"crf": DenseCRF()}], ids=str
)
def test_what_only_images_have_is_refused(network, way):
    with pytest.raises(ConfigError, match=r"the network is for volumes.*leave out crf"):
        Predictor(network, device="cpu", **way)


def test_images_and_volumes_are_told_apart(network):
    with pytest.raises(ShapeError, match=r"labels volumes, float32 \(x, y, z\), not uint8"):
        Predictor(network, device="cpu")(np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(
        ShapeError, match=r"an image is uint8 RGB .* not float32 .* a volume needs a network for volumes"
    ):
        Predictor(build_network("compact"), device="cpu")(volume(4, 5, 6))


def test_a_volume_without_a_finite_voxel_shows_nothing(network):
    values = volume(9, 12, 10)
    values[0, 0, 0] = np.inf
    assert Predictor(network, device="cpu")(values).label_map.shape == values.shape
    with pytest.raises(DataError, match="no voxel of the volume is finite"):
        Predictor(network, device="cpu")(np.full_like(values, np.nan))


def test_outputs_that_are_not_finite_are_no_labels(network):
    nn.init.constant_(network.layers.final.weight, 1e38)
    with pytest.raises(CheckpointError, match="outputs are not finite: its weights overflow"):
        Predictor(network, device="cpu")(volume(9, 12, 10))
