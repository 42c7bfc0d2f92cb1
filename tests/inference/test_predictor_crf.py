"""The Predictor refines the scores at every pixel by a CRF and the raw image."""

import numpy as np
import pytest
import torch

from atrous.crf.dense_crf import DenseCRF
from atrous.crf.kernels import Bilateral, Spatial
from atrous.crf.rnn import CRFRNN
from atrous.errors import ShapeError
from atrous.inference.predictor import Predictor
from atrous.inference.views import Views
from atrous.models.catalog import build_network

CRF = DenseCRF([Spatial(2, 1.0), Bilateral(8, 30, 3.0)], num_steps=3)


@pytest.fixture
def network():
    torch.manual_seed(1)
    network = build_network("compact", num_classes=3)
    for parameter in network.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter)
    return network


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (21, 30, 3), np.uint8)


def pixels_of(image):
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None]


@pytest.mark.parametrize("views", [Views(), Views((0.7, 1.0), flip=True)], ids=["one view", "four views"])
def test_refined_scores_are_the_crf_of_those_without(network, image, views):
    without = Predictor(network, device="cpu", views=views)(image)
    refined = Predictor(network, device="cpu", views=views, crf=CRF)(image)
    expected = CRF(without.logits[None], pixels_of(image))[0]
    np.testing.assert_allclose(refined.probabilities(), expected, atol=1e-6)
    assert np.array_equal(refined.label_map, expected.argmax(0).numpy())
    assert (refined.label_map != without.label_map).any()


def test_a_learned_crf_predicts_with_its_steps_for_tests_and_is_left_in_its_mode(network, image):
    crf = CRFRNN(num_classes=3, kernels=CRF.kernels, num_steps=1, num_test_steps=4)
    torch.nn.init.normal_(crf.compatibility)
    without = Predictor(network, device="cpu")(image)
    refined = Predictor(network, device="cpu", crf=crf.train())(image)
    assert crf.training
    with torch.no_grad():
        expected = crf.eval()(without.logits[None], pixels_of(image))[0]
        assert not torch.allclose(crf.train()(without.logits[None], pixels_of(image))[0], expected)
    assert torch.equal(refined.logits, expected)


def test_a_network_alone_carries_no_crf(network):
    assert Predictor(network, device="cpu").crf is None


def test_a_crf_for_other_classes_is_refused(network, image):
    crf = CRFRNN(num_classes=4, kernels=CRF.kernels)
    with pytest.raises(ShapeError, match="4"):
        Predictor(network, device="cpu", crf=crf)(image)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_images_of_one_pixel_are_refined(network, size):
    image = np.full((*size, 3), 7, np.uint8)
    probabilities = Predictor(network, device="cpu", crf=CRF)(image).probabilities()
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
