"""VGG-16 as a start: from every file that has it, into every head that takes it."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from atrous.checkpoint import save_tensors
from atrous.errors import CheckpointError
from atrous.models.compact import CompactFrontEnd
from atrous.models.context import ContextModule
from atrous.models.contract import IMAGENET_BGR, DenseNetwork, Normalization
from atrous.models.dilated_net import DilatedNet
from atrous.models.frontend import FrontEnd, Head, frontend, frontend_light
from atrous.models.pretrained import initialize_
from atrous.models.vgg import KERAS_LAYERS, TORCHVISION_FEATURES
from atrous.models.vgg_weights import PARAMETERS, from_caffe_names, save_vgg_weights
from models.vgg_tensors import FINAL, HEAD, NAMES, random_convolutions, small_front_end
from weights.caffe_files import write_caffemodel


@pytest.fixture(scope="module")
def convolutions():
    """VGG-16's 13 convolutions by their Caffe names, at random and as large as He et al. want them."""
    return random_convolutions()


def small_stack() -> DilatedNet:
    return DilatedNet(front_end=small_front_end(), context=ContextModule(3))


def assert_convolutions_loaded(network: DenseNetwork, path: Path, convolutions) -> None:
    """The convolutions are in the network, all else is fresh and as before."""
    prefix = "front_end." if isinstance(network, DilatedNet) else ""
    expected = {f"{prefix}layers.{name}": value for name, value in convolutions.items()}
    before = {name: value.clone() for name, value in network.state_dict().items()}
    start = initialize_(network, path)
    assert sorted(start.loaded) == sorted(f"{prefix}{name}" for name in NAMES)
    assert set(start.fresh) == before.keys() - expected.keys()
    for name, value in network.state_dict().items():
        assert value.equal({**before, **expected}[name]), name


@pytest.mark.parametrize("build", [small_front_end, small_stack])
def test_caffe_names_load_into_the_convolutions_alone(build, convolutions, tmp_path):
    save_file(convolutions, tmp_path / "vgg.safetensors")
    network = build()
    assert_convolutions_loaded(network, tmp_path / "vgg.safetensors", convolutions)
    assert network.normalization == IMAGENET_BGR


def test_imported_files_bring_their_normalization(convolutions, tmp_path):
    normalization = Normalization((1.0, 2.0, 3.0), channels="BGR")
    save_vgg_weights(
        tmp_path / "vgg.safetensors", from_caffe_names(convolutions, normalization=normalization)
    )
    network = small_stack()
    assert_convolutions_loaded(network, tmp_path / "vgg.safetensors", convolutions)
    assert network.normalization == network.front_end.normalization == normalization


def test_keras_files_are_read_directly(convolutions, tmp_path):
    with h5py.File(tmp_path / "notop.h5", "w") as file:
        for layer in TORCHVISION_FEATURES:
            name, weight = KERAS_LAYERS[layer], convolutions[f"{layer}.weight"]
            file[f"{name}/{name}_W_1:0"] = weight.permute(2, 3, 1, 0).contiguous().numpy()
            file[f"{name}/{name}_b_1:0"] = convolutions[f"{layer}.bias"].numpy()
    network = small_front_end()
    assert_convolutions_loaded(network, tmp_path / "notop.h5", convolutions)
    assert network.normalization == IMAGENET_BGR


def caffe_blobs(convolutions) -> dict[str, Sequence[np.ndarray]]:
    return {
        layer: [convolutions[f"{layer}.{kind}"].numpy() for kind in ("weight", "bias")]
        for layer in TORCHVISION_FEATURES
    }


def test_caffemodels_are_read_directly(convolutions, tmp_path):
    write_caffemodel(tmp_path / "vgg.caffemodel", caffe_blobs(convolutions), dims="legacy")
    network = small_front_end()
    assert_convolutions_loaded(network, tmp_path / "vgg.caffemodel", convolutions)
    assert network.normalization == IMAGENET_BGR


def test_a_caffemodel_of_a_released_network_is_imported_first(convolutions, tmp_path):
    blobs = {**caffe_blobs(convolutions), "fc-final": [convolutions["conv1_1.bias"].numpy()]}
    write_caffemodel(tmp_path / "front.caffemodel", blobs)
    with pytest.raises(
        CheckpointError, match=r"holds frontend, not VGG-16; run `atrous import caffe .*`, and"
    ):
        initialize_(small_front_end(), tmp_path / "front.caffemodel")


def test_real_imagenet_convolutions_load(shared_weights):
    path = shared_weights / "vgg16_imagenet_conv.safetensors"
    network = small_front_end()
    stored = {name: value.float() for name, value in load_file(path).items()}
    assert_convolutions_loaded(network, path, stored)
    assert network.normalization == IMAGENET_BGR
    # Edges and colors: the first layer of a trained network answers a gray image with nearly nothing.
    gray = IMAGENET_BGR.apply(torch.full((1, 3, 8, 8), 128.0))
    noise = IMAGENET_BGR.apply(torch.rand(1, 3, 8, 8) * 255)
    first = next(network.layers.children())
    assert first(gray)[..., 1:-1, 1:-1].std() < first(noise)[..., 1:-1, 1:-1].std() / 3


@pytest.fixture
def whole_vgg(tmp_path) -> Path:
    """A file of all parameters, fc6 and fc7 too: half a gigabyte of zeros that take no room on the disk."""
    sizes = {name: 4 * torch.Size(shape).numel() for name, shape in PARAMETERS.items()}
    header, end = {}, 0
    for name, shape in PARAMETERS.items():
        offsets = [end, end := end + sizes[name]]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": offsets}
    written = json.dumps(header).encode()
    path = tmp_path / "whole.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(written)) + written)
        file.truncate(8 + len(written) + end)
    return path


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
@pytest.mark.parametrize(("build", "has_head"), [(frontend, True), (frontend_light, False)])
@pytest.mark.slow
def test_the_inner_products_start_the_head_that_has_their_size(build, has_head, whole_vgg):
    with torch.device("meta"):
        network = build(3)
    start = initialize_(network, whole_vgg)
    assert sorted(start.loaded) == sorted(NAMES + HEAD if has_head else NAMES)
    assert sorted(start.fresh) == sorted(FINAL if has_head else HEAD + FINAL)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
def test_a_head_is_loaded_whole_or_not_at_all(whole_vgg):
    """fc7 alone would fit, but it expects what fc6 of the file computes."""
    with torch.device("meta"):
        network = FrontEnd(3, head=Head(channels=4096, kernel_size=3, dilation=12))
    assert sorted(initialize_(network, whole_vgg).loaded) == sorted(NAMES)


def without(tensors, name):
    return {key: value for key, value in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda tensors: without(tensors, "conv4_2.bias"), "conv4_2.bias (conv4_2.bias) is missing"),
        (
            lambda tensors: {**tensors, "conv1_1.weight": torch.zeros(64, 3, 5, 5)},
            "conv1_1.weight (conv1_1.weight) is wrong shape",
        ),
        (
            lambda tensors: {**tensors, "conv5_1.bias": torch.full((512,), torch.nan)},
            "conv5_1.bias (conv5_1.bias) is not finite",
        ),
        (
            lambda tensors: {**tensors, "fc6.bias": torch.zeros(4096)},
            "fc6.weight (fc6.weight) is missing",
        ),
        (
            lambda tensors: {f"module.{name}": value for name, value in tensors.items()},
            "layers.conv1_1.weight is missing, unknown or of another shape",
        ),
    ],
    ids=["one missing", "another shape", "not finite", "half a head", "other names"],
)
def test_incomplete_convolutions_are_refused_and_change_nothing(change, named, convolutions, tmp_path):
    save_file(change(convolutions), tmp_path / "vgg.safetensors")
    network = small_front_end()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        initialize_(network, tmp_path / "vgg.safetensors")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert network.normalization == IMAGENET_BGR


def test_a_normalization_that_cannot_be_is_refused(convolutions, tmp_path):
    wrong = {"mean": [1.0, 2.0, 3.0], "std": [0.0, 0.0, 0.0], "channels": "BGR"}
    save_tensors(tmp_path / "vgg.safetensors", convolutions, {"weights": "vgg16", "normalization": wrong})
    with pytest.raises(CheckpointError, match="stds above 0"):
        initialize_(small_front_end(), tmp_path / "vgg.safetensors")


def test_convolutions_of_vgg_fit_no_other_front_end(convolutions, tmp_path):
    save_file(convolutions, tmp_path / "vgg.safetensors")
    with pytest.raises(CheckpointError, match="fits neither the network nor its front end"):
        initialize_(CompactFrontEnd(3), tmp_path / "vgg.safetensors")


VOC = Normalization((102.93, 111.36, 116.52), channels="BGR")  # the mean of VOC, other than VGG's


@pytest.mark.parametrize("padding", ["none", "same"])
def test_weights_do_the_same_under_the_mean_of_another_data_set(padding, convolutions, tmp_path):
    """An unpadded network keeps its own mean; one that pads with zeros takes that of the weights."""
    save_file(convolutions, tmp_path / "vgg.safetensors")
    network, plain = small_front_end(padding=padding), small_front_end(padding=padding)
    plain.load_state_dict(network.state_dict())
    network.use_normalization_(VOC)
    for each in (network, plain):
        initialize_(each, tmp_path / "vgg.safetensors")
    assert network.normalization == (VOC if padding == "none" else IMAGENET_BGR)
    assert plain.normalization == IMAGENET_BGR
    side = 180 if padding == "none" else 24
    photo = torch.randint(0, 256, (1, 3, side, side), generator=torch.Generator().manual_seed(0)).float()
    first, second = (each.get_submodule("layers.conv1_1") for each in (network, plain))
    ours, theirs = first(network.normalization.apply(photo)), second(plain.normalization.apply(photo))
    assert theirs.std() > 1
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)
