"""Our VGG-16 beside torchvision's own: the same classes of the same photo; run by `scripts/zoo test`."""

import importlib
import importlib.util
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from atrous.models.foreign import foreign_network
from atrous.models.frontend import FrontEnd, Head
from atrous.models.pretrained import initialize_
from atrous.models.vgg import STAGES
from atrous.models.vgg_weights import TORCHVISION_FEATURES_RGB, TORCHVISION_RGB, VGGWeights, from_torchvision

pytestmark = [
    pytest.mark.zoo,
    pytest.mark.filterwarnings("default"),  # of other people's code
    pytest.mark.skipif(
        importlib.util.find_spec("torchvision") is None,
        reason="torchvision is not installed; run scripts/zoo test",
    ),
]


@pytest.fixture(scope="module")
def vgg16() -> nn.Module:
    """torchvision's vgg16 at random, with biases that count."""
    torch.manual_seed(0)
    network = foreign_network("torchvision:vgg16").eval()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
        elif name.startswith("classifier"):
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    return network


@pytest.fixture(scope="module")
def torchvision(vgg16) -> Any:  # noqa: ARG001 (whose making declares the operators that a CPU build lacks)
    """The package itself."""
    return importlib.import_module("torchvision")


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)


def preprocess(torchvision: Any, photo: torch.Tensor) -> torch.Tensor:
    """As torchvision prepares photos for its weights, without resizing."""
    preset = torchvision.models.VGG16_Weights.IMAGENET1K_V1.transforms()
    return torchvision.transforms.functional.normalize(photo / 255, preset.mean, preset.std)


def convolve(weights: VGGWeights, values: torch.Tensor, layer: str, *, padding: int = 0) -> torch.Tensor:
    weight, bias = (weights.fitted.tensors[f"{layer}.{kind}"] for kind in ("weight", "bias"))
    return functional.conv2d(values, weight, bias, padding=padding).relu()


@torch.no_grad()
def test_the_thousand_classes_are_torchvisions(vgg16, torchvision, photo):
    """Five pools, and fc6 and fc7 as convolutions at their only position."""
    theirs = vgg16(preprocess(torchvision, photo))
    state = vgg16.state_dict()
    weights = from_torchvision(state)
    assert weights.fitted.complete
    values = weights.normalization.apply(photo.float())
    for stage, (_, depth) in STAGES.items():
        for index in range(1, depth + 1):
            values = convolve(weights, values, f"conv{stage}_{index}", padding=1)
        values = functional.max_pool2d(values, 2)
    assert values.shape == (1, 512, 7, 7)
    values = convolve(weights, convolve(weights, values, "fc6"), "fc7").flatten(1)
    ours = functional.linear(values, state["classifier.6.weight"], state["classifier.6.bias"])
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_front_end_started_from_it_responds_as_its_features(vgg16, torchvision, photo, tmp_path):
    """Up to conv4_3, where the front end leaves out the pool; padded zeros included."""
    torch.save(vgg16.state_dict(), tmp_path / "vgg16.pth")
    network = FrontEnd(2, padding="same", head=Head(channels=8, kernel_size=3, dilation=12)).eval()
    assert len(initialize_(network, tmp_path / "vgg16.pth").loaded) == 26
    theirs = vgg16.get_submodule("features")[:23](preprocess(torchvision, photo))  # type: ignore[index]
    ours = network.normalization.apply(photo.float())
    for name, layer in network.layers.named_children():
        if name == "conv5_1":
            break
        ours = layer(ours)
    assert tuple(ours.shape) == (1, 512, 28, 28)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_normalizations_are_torchvisions(torchvision):
    for weights, ours in (
        (torchvision.models.VGG16_Weights.IMAGENET1K_V1, TORCHVISION_RGB),
        (torchvision.models.VGG16_Weights.IMAGENET1K_FEATURES, TORCHVISION_FEATURES_RGB),
    ):
        preset = weights.transforms()
        assert ours.channels == "RGB"
        assert ours.mean == pytest.approx([value * 255 for value in preset.mean])
        assert ours.std == pytest.approx([value * 255 for value in preset.std])
