"""VGG-16 from torchvision, Keras and Caffe: the same tensors in one form, and a line for each of them."""

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from atrous.checkpoint import load_tensors
from atrous.models.contract import IMAGENET_BGR, Normalization
from atrous.models.vgg_weights import (
    CONVOLUTIONS,
    PARAMETERS,
    VGGWeights,
    from_caffe,
    from_caffe_names,
    from_keras,
    from_torchvision,
    save_vgg_weights,
)
from atrous.weights.keras import read_keras
from models.vgg_tensors import random_convolutions, torchvision_features

# keras.applications.VGG16
KERAS_BLOCKS = {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}
KERAS_NAMES = [f"block{b}_conv{i}" for b, depth in KERAS_BLOCKS.items() for i in range(1, depth + 1)]
COUNTED_NAMES = ["conv2d", *(f"conv2d_{i}" for i in range(1, 13))]
FC6_INPUTS = 512 * 7 * 7


@pytest.fixture(scope="module")
def tensors():
    """VGG-16's 13 convolutions by Caffe's names, at random."""
    return random_convolutions()


def wide(values: torch.Tensor, *shape: int) -> torch.Tensor:
    """Values repeated to a shape of hundreds of megabytes, without the memory."""
    return values.expand(shape)


def classifier(*, fc6_row: torch.Tensor) -> dict[str, torch.Tensor]:
    """torchvision's classifier; every output of fc6 has the same weights, fc7's have their number."""
    return {
        "classifier.0.weight": wide(fc6_row, 4096, FC6_INPUTS),
        "classifier.0.bias": torch.arange(4096.0),
        "classifier.3.weight": wide(torch.arange(4096.0)[:, None], 4096, 4096),
        "classifier.3.bias": -torch.arange(4096.0),
        "classifier.6.weight": wide(torch.zeros(1), 1000, 4096),
        "classifier.6.bias": torch.zeros(1000),
    }


def statuses(weights: VGGWeights) -> dict[str, str]:
    return {line.source: line.status for line in weights.fitted.lines}


def test_parameters_are_those_of_vgg16():
    assert sum(np.prod(shape) for shape in PARAMETERS.values()) == 138_357_544 - 4096 * 1000 - 1000
    assert list(PARAMETERS)[:2] == ["conv1_1.weight", "conv1_1.bias"]
    assert PARAMETERS["conv3_1.weight"] == (256, 128, 3, 3)


@pytest.mark.slow
def test_torchvision_tensors_are_renamed_and_all_reported(tensors):
    features = torchvision_features(tensors)
    assert len(features) == 26
    weights = from_torchvision({**features, **classifier(fc6_row=torch.arange(1.0 * FC6_INPUTS))})
    assert weights.fitted.complete
    assert weights.normalization == Normalization((103.53, 116.28, 123.675), channels="BGR")
    found = weights.fitted.tensors
    assert {name: tuple(value.shape) for name, value in found.items()} == PARAMETERS
    for name, value in tensors.items():
        if name != "conv1_1.weight":
            assert found[name].equal(value), name
    # Channels in the other order, and divided by a standard deviation of grey levels.
    std = torch.tensor([0.225, 0.224, 0.229]) * 255
    torch.testing.assert_close(found["conv1_1.weight"], tensors["conv1_1.weight"].flip(1) / std.view(3, 1, 1))
    said = statuses(weights)
    assert {source for source, status in said.items() if status == "unused"} == {
        "classifier.6.weight",
        "classifier.6.bias",
    }
    assert len(said) == 32


@pytest.mark.slow
def test_torchvision_flattens_channels_first():
    """The inner product of `torch.flatten(pool5, 1)` is the convolution at its only position."""
    row, pool5 = torch.randn(FC6_INPUTS, dtype=torch.float64), torch.randn(1, 512, 7, 7, dtype=torch.float64)
    found = from_torchvision(classifier(fc6_row=row)).fitted.tensors
    response = functional.conv2d(pool5, found["fc6.weight"][:2], found["fc6.bias"][:2].double())
    torch.testing.assert_close(response.flatten(), pool5.flatten(1) @ row + torch.arange(2))
    assert found["fc7.weight"][:, 5, 0, 0].equal(torch.arange(4096.0))


def test_weights_of_features_alone_have_their_own_normalization(tensors):
    """torchvision's IMAGENET1K_FEATURES: a classifier of NaN, pixels minus a mean on 0-255."""
    nan = torch.tensor(torch.nan)
    weights = from_torchvision(
        {
            **torchvision_features(tensors),
            **{name: wide(nan, *value.shape) for name, value in classifier(fc6_row=nan).items()},
        }
    )
    assert weights.fitted.complete
    assert weights.fitted.tensors.keys() == tensors.keys()
    assert statuses(weights)["classifier.0.weight"] == "unused"
    assert weights.normalization.channels == "BGR"
    assert weights.normalization.std == (1.0, 1.0, 1.0)
    assert weights.normalization.mean == pytest.approx((104, 117, 123), abs=1e-3)
    torch.testing.assert_close(weights.fitted.tensors["conv1_1.weight"], tensors["conv1_1.weight"].flip(1))


def test_another_torchvision_network_is_reported(tensors):
    features = torchvision_features(tensors)
    given = {**features, "features.19.weight": torch.zeros(512, 512, 5, 5), "avgpool": torch.zeros(1)}
    del given["features.0.bias"]
    weights = from_torchvision(given)
    assert not weights.fitted.complete
    said = statuses(weights)
    assert (said["features.0.bias"], said["features.19.weight"], said["avgpool"]) == (
        "missing",
        "wrong shape",
        "unused",
    )
    # Nothing is folded into half a layer; and nothing of an absent classifier is missing.
    assert weights.fitted.tensors["conv1_1.weight"].equal(tensors["conv1_1.weight"])
    assert not any(source.startswith("classifier") for source in said)


def keras_layers(tensors, names) -> dict[str, tuple[torch.Tensor, ...]]:
    """Kernels (h, w, in, out) and biases."""
    return {
        name: (tensors[f"{layer}.weight"].permute(2, 3, 1, 0), tensors[f"{layer}.bias"])
        for name, layer in zip(names, CONVOLUTIONS, strict=True)
    }


@pytest.mark.parametrize("names", [KERAS_NAMES, COUNTED_NAMES], ids=["named", "counted"])
def test_keras_files_hold_the_same_tensors(names, tensors, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, (kernel, bias) in keras_layers(tensors, names).items():
            place = f"layers/{name}/vars" if names is COUNTED_NAMES else name
            file[f"{place}/0"], file[f"{place}/1"] = kernel.contiguous().numpy(), bias.numpy()
    weights = from_keras(read_keras(tmp_path / "a.h5"))
    assert weights.fitted.complete
    assert weights.normalization == IMAGENET_BGR
    assert weights.fitted.tensors.keys() == tensors.keys()
    for name, value in tensors.items():
        assert weights.fitted.tensors[name].equal(value), name
    assert {line.status for line in weights.fitted.lines} == {"used"}


@pytest.mark.slow
@pytest.mark.parametrize("names", [("fc1", "fc2", "predictions"), ("dense", "dense_1", "dense_2")])
def test_keras_flattens_channels_last(names, tensors):
    """The inner product of a flattened (7, 7, 512) is the convolution of the same features (512, 7, 7)."""
    column, features = torch.randn(FC6_INPUTS).double(), torch.randn(7, 7, 512).double()
    layers = keras_layers(tensors, KERAS_NAMES if "fc1" in names else COUNTED_NAMES)
    layers[names[0]] = (wide(column[:, None], FC6_INPUTS, 4096), torch.arange(4096.0))
    layers[names[1]] = (wide(torch.arange(4096.0)[:, None], 4096, 4096), torch.zeros(4096))
    layers[names[2]] = (wide(torch.zeros(1), 4096, 1000), torch.zeros(1000))
    weights = from_keras(layers)
    assert weights.fitted.complete
    said = statuses(weights)
    assert [source for source, status in said.items() if status == "unused"] == [
        f"{names[2]}[0]",
        f"{names[2]}[1]",
    ]
    found = weights.fitted.tensors
    assert {name: tuple(value.shape) for name, value in found.items()} == PARAMETERS
    ours = torch.einsum("yxc,ocyx->o", features, found["fc6.weight"][:2])
    torch.testing.assert_close(ours, (features.flatten() @ column).expand(2))
    assert found["fc7.weight"][7, :, 0, 0].equal(
        torch.arange(4096.0)
    )  # its inputs in order, alike for all outputs


def test_kernels_of_theano_are_of_the_wrong_shape(tensors):
    layers = {
        name: (tensors[f"{layer}.weight"], tensors[f"{layer}.bias"])
        for name, layer in zip(KERAS_NAMES, CONVOLUTIONS, strict=True)
    }
    weights = from_keras(layers)
    assert statuses(weights)["block1_conv1[0]"] == "wrong shape"
    assert statuses(weights)["block1_conv1[1]"] == "used"


def caffe_layers(tensors, *, legacy: bool) -> dict[str, tuple[torch.Tensor, ...]]:
    def bias(values: torch.Tensor) -> torch.Tensor:
        return values.view(1, 1, 1, -1) if legacy else values

    return {layer: (tensors[f"{layer}.weight"], bias(tensors[f"{layer}.bias"])) for layer in CONVOLUTIONS}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fc6", "fc7"),
    [
        ((4096, FC6_INPUTS), (4096, 4096)),
        ((1, 1, 4096, FC6_INPUTS), (1, 1, 4096, 4096)),
        ((4096, 512, 7, 7), (4096, 4096, 1, 1)),
    ],
    ids=["inner products", "legacy", "convolutions"],
)
def test_caffe_blobs_become_convolutions(fc6, fc7, tensors):
    legacy = len(fc6) == 4 and fc6[0] == 1
    layers = caffe_layers(tensors, legacy=legacy)
    inputs = torch.arange(1.0 * FC6_INPUTS)
    layers["fc6"] = (wide(inputs.view(fc6[1:]) if fc6[1] == 512 else inputs, *fc6), torch.zeros(4096))
    layers["fc7"] = (wide(torch.zeros(1), *fc7), torch.zeros(1, 1, 1, 4096))
    layers["fc8"] = (wide(torch.zeros(1), 1000, 4096), torch.zeros(1000))
    weights = from_caffe(layers)
    assert weights.fitted.complete
    assert weights.normalization == IMAGENET_BGR
    found = weights.fitted.tensors
    assert {name: tuple(value.shape) for name, value in found.items()} == PARAMETERS
    assert all(found[name].equal(value) for name, value in tensors.items())
    assert found["fc6.weight"][9].flatten().equal(inputs)  # Caffe flattens channels first
    assert [line.source for line in weights.fitted.lines if line.status == "unused"] == ["fc8[0]", "fc8[1]"]


@pytest.mark.slow
def test_one_inner_product_needs_the_other(tensors):
    layers = caffe_layers(tensors, legacy=False)
    assert from_caffe(layers).fitted.complete
    layers["fc6"] = (wide(torch.zeros(1), 4096, FC6_INPUTS), torch.zeros(4096))
    weights = from_caffe(layers)
    assert not weights.fitted.complete
    assert [(line.source, line.shape) for line in weights.fitted.lines if line.status == "missing"] == [
        ("fc7[0]", (4096, 4096, 1, 1)),
        ("fc7[1]", (4096,)),
    ]


def test_written_files_say_what_they_are_and_are_read_back(tensors, tmp_path):
    weights = from_torchvision(torchvision_features(tensors))
    save_vgg_weights(tmp_path / "vgg.safetensors", weights)
    header = load_tensors(tmp_path / "vgg.safetensors")[1]
    assert header.keys() == {"weights", "normalization"}
    assert header["weights"] == "vgg16"
    stored = load_file(tmp_path / "vgg.safetensors")
    assert stored.keys() == tensors.keys()
    normalization = Normalization.from_dict(header["normalization"])
    again = from_caffe_names(stored, normalization=normalization)
    assert again.fitted.complete
    assert again.normalization == weights.normalization
    assert all(again.fitted.tensors[name].equal(value) for name, value in weights.fitted.tensors.items())
