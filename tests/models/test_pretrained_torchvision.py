"""A front end started from torchvision's VGG-16 responds as torchvision does, up to the borders."""

import pytest
import torch
from torch.nn import functional

from atrous.models.contract import Normalization
from atrous.models.frontend import FrontEnd
from atrous.models.pretrained import initialize_
from atrous.models.vgg import TORCHVISION_FEATURES
from atrous.ops.pad import pad_reflect
from models.vgg_tensors import FINAL, HEAD, NAMES, random_convolutions, small_front_end, torchvision_features


@pytest.fixture(scope="module")
def torchvision_names():
    """The state dict of vgg16 with a classifier of another size."""
    features = torchvision_features(random_convolutions())
    layers = ("classifier.0", "classifier.3")
    return {
        **features,
        **{f"{layer}.weight": torch.zeros(4, 4) for layer in layers},
        **{f"{layer}.bias": torch.zeros(4) for layer in layers},
    }


def torchvision_responses(state_dict, photo: torch.Tensor, *, padded: bool) -> torch.Tensor:
    """torchvision's ToTensor, Normalize and features, here without pool4 and with conv5 dilated."""
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    values = (photo / 255 - mean) / std
    for index in TORCHVISION_FEATURES.values():
        if index in (5, 10, 17):
            values = functional.max_pool2d(values, 2, 2, ceil_mode=True)
        dilation = 2 if index >= 24 else 1
        weight, bias = (state_dict[f"features.{index}.{kind}"] for kind in ("weight", "bias"))
        padding = dilation if padded else 0
        values = functional.conv2d(values, weight, bias, padding=padding, dilation=dilation).relu()
    return values


def responses(network: FrontEnd, photo: torch.Tensor, *, before: str) -> torch.Tensor:
    values = network.normalization.apply(photo)
    for name, layer in network.layers.named_children():
        if name == before:
            break
        values = layer(values)
    return values


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["same", "none"])
def test_torchvision_names_compute_what_torchvision_computes(padding, torchvision_names, tmp_path):
    """At every cell, those that see padded zeros included."""
    torch.save(torchvision_names, tmp_path / "vgg16.pth")
    network = small_front_end(padding=padding)
    start = initialize_(network, tmp_path / "vgg16.pth")
    assert sorted(start.loaded) == sorted(NAMES)
    assert sorted(start.fresh) == sorted(HEAD + FINAL)
    assert isinstance(network.normalization, Normalization)
    assert network.normalization.std == (1.0, 1.0, 1.0)
    assert network.normalization.channels == "BGR"
    photo = torch.randint(0, 256, (1, 3, 41, 48), generator=torch.Generator().manual_seed(0)).float()
    if padding == "none":
        photo = pad_reflect(photo, [(90, 90), (90, 90)])
    theirs = torchvision_responses(torchvision_names, photo, padded=padding == "same")
    ours = responses(network, photo, before="fc6")
    assert theirs.mean() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_whole_head_computes_what_torchvision_computes(torchvision_names, tmp_path):
    """fc6 and fc7 at output stride 8, dilated as their neighbors in the features demand."""
    torch.manual_seed(0)
    inner = {
        "classifier.0.weight": torch.randn(4096, 25088) * (2 / 25088) ** 0.5,
        "classifier.0.bias": torch.randn(4096),
        "classifier.3.weight": torch.randn(4096, 4096) * (2 / 4096) ** 0.5,
        "classifier.3.bias": torch.randn(4096),
    }
    torch.save({**torchvision_names, **inner}, tmp_path / "vgg16.pth")
    network = FrontEnd(3, padding="same").eval()
    start = initialize_(network, tmp_path / "vgg16.pth")
    assert sorted(start.fresh) == sorted(FINAL)
    photo = torch.randint(0, 256, (1, 3, 40, 40)).float()
    values = torchvision_responses(torchvision_names, photo, padded=True)
    windows = functional.unfold(values, 7, dilation=4, padding=12)  # (1, 512 * 49, cells), channels first
    for layer in ("classifier.0", "classifier.3"):
        rows = windows.transpose(1, 2) @ inner[f"{layer}.weight"].T + inner[f"{layer}.bias"]
        windows = rows.relu().transpose(1, 2)
    with torch.no_grad():
        ours = responses(network, photo, before="final")
    torch.testing.assert_close(ours.flatten(2), windows, rtol=1e-4, atol=1e-4)
