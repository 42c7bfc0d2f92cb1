"""Starting weights from other programs' files, from checkpoints, and files that do not fit."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from atrous.checkpoint import save_checkpoint, save_tensors
from atrous.errors import CheckpointError
from atrous.models.catalog import build_network, to_checkpoint
from atrous.models.compact import CompactFrontEnd
from atrous.models.context import ContextModule
from atrous.models.contract import IMAGENET_BGR, PLAIN_RGB, DenseNetwork, Normalization
from atrous.models.dilated_net import DilatedNet
from atrous.models.frontend import FrontEnd, Head
from atrous.models.pretrained import initialize_
from atrous.models.vgg import TORCHVISION_FEATURES

SHAPES = {
    "conv1_1": (64, 3), "conv1_2": (64, 64), "conv2_1": (128, 64), "conv2_2": (128, 128),
    "conv3_1": (256, 128), "conv3_2": (256, 256), "conv3_3": (256, 256),
    "conv4_1": (512, 256), "conv4_2": (512, 512), "conv4_3": (512, 512),
    "conv5_1": (512, 512), "conv5_2": (512, 512), "conv5_3": (512, 512),
}  # fmt: skip
NAMES = [f"layers.{layer}.{kind}" for layer in SHAPES for kind in ("weight", "bias")]


@pytest.fixture(scope="module")
def convolutions():
    """VGG-16's 13 convolutions by their Caffe names, at random and as large as He et al. want them."""
    torch.manual_seed(0)
    tensors = {}
    for name, (out_channels, in_channels) in SHAPES.items():
        tensors[f"{name}.weight"] = (
            torch.randn(out_channels, in_channels, 3, 3) * (2 / 9 / in_channels) ** 0.5
        )
        tensors[f"{name}.bias"] = torch.randn(out_channels)
    return tensors


@pytest.fixture(scope="module")
def torchvision_names(convolutions):
    """The same under the names of torchvision's vgg16, with a stand-in for its classifier."""
    renamed = {
        f"features.{index}.{kind}": convolutions[f"{layer}.{kind}"]
        for layer, index in TORCHVISION_FEATURES.items()
        for kind in ("weight", "bias")
    }
    return {**renamed, "classifier.0.weight": torch.zeros(4, 4), "classifier.0.bias": torch.zeros(4)}


def small_front_end(num_classes: int = 3) -> FrontEnd:
    return FrontEnd(num_classes, padding="same", head=Head(channels=8, kernel_size=3, dilation=12))


def small_stack() -> DilatedNet:
    return DilatedNet(front_end=small_front_end(), context=ContextModule(3))


def state_of(network: DenseNetwork) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def assert_loaded(network: DenseNetwork, before: dict[str, torch.Tensor], loaded: dict[str, torch.Tensor]):
    """The tensors of `loaded` are in the network, all others are as before."""
    expected = {**before, **loaded}
    assert network.state_dict().keys() == expected.keys()
    for name, value in network.state_dict().items():
        assert value.equal(expected[name]), name


@pytest.mark.parametrize("build", [small_front_end, small_stack])
def test_caffe_names_load_into_the_convolutions_alone(build, convolutions, tmp_path):
    save_file(convolutions, tmp_path / "vgg.safetensors")
    network = build()
    prefix = "front_end." if build is small_stack else ""
    before = state_of(network)
    names = initialize_(network, tmp_path / "vgg.safetensors")
    assert sorted(names) == sorted(f"{prefix}{name}" for name in NAMES)
    assert_loaded(network, before, {f"{prefix}layers.{name}": value for name, value in convolutions.items()})
    assert network.normalization == IMAGENET_BGR


def test_real_imagenet_convolutions_load(shared_weights):
    path = shared_weights / "vgg16_imagenet_conv.safetensors"
    network = small_front_end()
    before = state_of(network)
    assert set(initialize_(network, path)) == set(NAMES)
    stored = {f"layers.{name}": value.float() for name, value in load_file(path).items()}
    assert stored.keys() == set(NAMES)
    assert_loaded(network, before, stored)
    assert network.normalization == IMAGENET_BGR
    # Edges and colors: the first layer of a trained network answers a gray image with nearly nothing.
    gray = IMAGENET_BGR.apply(torch.full((1, 3, 8, 8), 128.0))
    noise = IMAGENET_BGR.apply(torch.rand(1, 3, 8, 8) * 255)
    first = next(network.layers.children())
    assert first(gray)[..., 1:-1, 1:-1].std() < first(noise)[..., 1:-1, 1:-1].std() / 3


def test_torchvision_names_compute_what_torchvision_computes(torchvision_names, tmp_path):
    torch.save(torchvision_names, tmp_path / "vgg16.pth")
    network = small_stack()
    before = state_of(network)
    names = initialize_(network, tmp_path / "vgg16.pth")
    assert sorted(names) == sorted(f"front_end.{name}" for name in NAMES)
    photo = torch.randint(0, 256, (1, 3, 40, 48), dtype=torch.uint8)

    # torchvision: ToTensor, Normalize, then features, here without pool4 and with conv5 dilated.
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    values = (photo.float() / 255 - mean) / std
    for index in TORCHVISION_FEATURES.values():
        if index in (5, 10, 17):
            values = functional.max_pool2d(values, 2, 2)
        dilation = 2 if index >= 24 else 1
        weight, bias = (torchvision_names[f"features.{index}.{kind}"] for kind in ("weight", "bias"))
        values = functional.conv2d(values, weight, bias, padding=dilation, dilation=dilation).relu()

    assert isinstance(network.front_end, FrontEnd)
    ours = network.normalization.apply(photo.float())
    for name, layer in network.front_end.layers.named_children():
        if name == "fc6":
            break
        ours = layer(ours)
    torch.testing.assert_close(ours, values, rtol=1e-4, atol=1e-4)
    assert network.front_end.normalization == network.normalization
    loaded = {
        f"front_end.layers.{layer}.{kind}": torchvision_names[f"features.{index}.{kind}"]
        for layer, index in TORCHVISION_FEATURES.items()
        for kind in ("weight", "bias")
    }
    assert_loaded(network, before, loaded)


def test_a_checkpoint_of_the_network_brings_everything(tmp_path):
    normalization = Normalization((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "BGR")
    source = build_network("compact_context", num_classes=3)
    source.use_normalization_(normalization)
    save_checkpoint(
        tmp_path / "a.safetensors", to_checkpoint(source, name="compact_context", labels={}, progress={})
    )
    network = build_network("compact_context", num_classes=3)
    assert set(initialize_(network, tmp_path / "a.safetensors")) == set(network.state_dict())
    assert_loaded(network, {}, state_of(source))
    assert isinstance(network, DilatedNet)
    assert network.normalization == network.front_end.normalization == normalization


def test_a_checkpoint_of_the_front_end_leaves_the_context_module_alone(tmp_path):
    normalization = Normalization((1.0, 2.0, 3.0))
    source = build_network("compact", num_classes=3)
    source.use_normalization_(normalization)
    save_checkpoint(tmp_path / "a.safetensors", to_checkpoint(source, name="compact", labels={}, progress={}))
    network = build_network("compact_context", num_classes=3)
    before = state_of(network)
    loaded = {f"front_end.{name}": value for name, value in source.state_dict().items()}
    assert set(initialize_(network, tmp_path / "a.safetensors")) == set(loaded)
    assert_loaded(network, before, loaded)
    assert isinstance(network, DilatedNet)
    assert network.normalization == network.front_end.normalization == normalization


def test_a_plain_state_dict_of_the_network_keeps_its_normalization(tmp_path):
    source = build_network("compact", num_classes=3)
    torch.save(source.state_dict(), tmp_path / "a.pth")
    network = build_network("compact", num_classes=3)
    initialize_(network, tmp_path / "a.pth")
    assert_loaded(network, {}, state_of(source))
    assert network.normalization == PLAIN_RGB


def without(tensors, name):
    return {key: value for key, value in tensors.items() if key != name}


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: without(tensors, "conv4_2.bias"),
        lambda tensors: {**tensors, "conv1_1.weight": torch.zeros(64, 3, 5, 5)},
        lambda tensors: {f"module.{name}": value for name, value in tensors.items()},
    ],
    ids=["one missing", "another shape", "other names"],
)
def test_incomplete_convolutions_are_refused_and_change_nothing(change, convolutions, tmp_path):
    save_file(change(convolutions), tmp_path / "vgg.safetensors")
    network = small_front_end()
    before = state_of(network)
    with pytest.raises(
        CheckpointError, match=r"fits neither the network nor its front end; .* all 13 of its"
    ):
        initialize_(network, tmp_path / "vgg.safetensors")
    assert_loaded(network, before, {})


def test_convolutions_of_vgg_fit_no_other_front_end(convolutions, tmp_path):
    save_file(convolutions, tmp_path / "vgg.safetensors")
    with pytest.raises(CheckpointError, match="fits neither the network nor its front end"):
        initialize_(CompactFrontEnd(3), tmp_path / "vgg.safetensors")


def test_a_checkpoint_for_other_classes_is_refused(tmp_path):
    source = build_network("compact", num_classes=4)
    save_checkpoint(tmp_path / "a.safetensors", to_checkpoint(source, name="compact", labels={}, progress={}))
    with pytest.raises(
        CheckpointError, match=r"a\.safetensors fits neither .* same number of classes"
    ) as caught:
        initialize_(CompactFrontEnd(3), tmp_path / "a.safetensors")
    assert "\n" not in str(caught.value)


def test_the_state_of_a_run_is_no_starting_point(tmp_path):
    save_tensors(tmp_path / "last.safetensors", CompactFrontEnd(3).state_dict(), {"state_version": 1})
    with pytest.raises(
        CheckpointError, match=r"last\.safetensors holds no atrous checkpoint; give the model"
    ):
        initialize_(CompactFrontEnd(3), tmp_path / "last.safetensors")


def test_a_newer_checkpoint_is_refused_by_name(tmp_path):
    save_tensors(tmp_path / "a.safetensors", CompactFrontEnd(3).state_dict(), {"format_version": 2})
    with pytest.raises(CheckpointError, match="has checkpoint format 2, this atrous reads 1; upgrade atrous"):
        initialize_(CompactFrontEnd(3), tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["absent.safetensors", "absent.pth"])
def test_a_missing_file_is_refused(name, tmp_path):
    with pytest.raises(CheckpointError, match=f"no .* at .*{name}; give the path"):
        initialize_(CompactFrontEnd(3), tmp_path / name)
