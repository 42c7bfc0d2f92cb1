"""What stands before and after a network in a file, against what the predictor does outside."""

import numpy as np
import pytest
import torch

from atrous.data.quantity import DEPTH
from atrous.errors import ConfigError
from atrous.export.deployed import Deployed, Ends
from atrous.inference.predictor import Predictor
from atrous.models.catalog import build_network
from atrous.models.contract import DenseNetwork
from inference.networks import Small


def random_image(height: int = 37, width: int = 50) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def deployed(network: DenseNetwork, result: str, **options: bool) -> np.ndarray:
    images = torch.from_numpy(random_image()).permute(2, 0, 1)[None]
    with torch.inference_mode():
        return Deployed(network.eval(), Ends(raw=True, result=result), **options)(images)[0].numpy()  # type: ignore[arg-type]


def test_raw_pixels_become_what_the_predictor_says():
    network = Small()  # stride 4, margin 6, BGR
    prediction = Predictor(network)(random_image())
    np.testing.assert_allclose(deployed(network, "logits"), prediction.scores, atol=1e-5)
    np.testing.assert_allclose(deployed(network, "probabilities"), prediction.probabilities(), atol=1e-6)
    np.testing.assert_array_equal(deployed(network, "labels"), prediction.label_map)


def test_logarithms_of_a_regression_become_values():
    torch.manual_seed(0)
    network = build_network("compact_regressor", num_classes=1)
    prediction = Predictor(network, label_set=DEPTH)(random_image())
    np.testing.assert_allclose(deployed(network, "values", is_log=True), prediction.values, rtol=1e-5)


def test_what_is_not_raw_has_its_margin():
    network = Small()
    images = torch.randn(1, 3, 37 + 12, 50 + 12)
    with torch.inference_mode():
        assert Deployed(network, Ends(result="labels"))(images).shape == (1, 37, 50)
        assert Deployed(network, Ends())(images).equal(network(images))


@pytest.mark.parametrize(
    ("name", "ends", "kind", "message"),
    [
        ("context3d", Ends(raw=True), {"is_regression": False}, "leave out --raw"),
        ("compact", Ends(result="values"), {"is_regression": False}, "take --result probabilities or labels"),
        ("compact", Ends(result="labels"), {"is_regression": True}, "a regression has no labels"),
        ("wavenet", Ends(result="labels"), {"is_regression": False, "is_sound": True}, "leave --result out"),
    ],
)
def test_ends_refuse_networks_that_cannot_have_them(name, ends, kind, message):
    with torch.device("meta"):
        network = build_network(name)
    with pytest.raises(ConfigError, match=message):
        ends.refuse_for(network, **kind)
