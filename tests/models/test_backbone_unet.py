"""U-Net on a backbone: where it sees, that skips keep pixels apart, VGG-16's weights, and what is refused."""

from pathlib import Path

import pytest
import torch
from torch import nn

from atrous.errors import ConfigError
from atrous.geometry.receptive_field import receptive_field
from atrous.models.backbone_unet import BackboneUNet
from atrous.models.catalog import build_network
from atrous.models.pretrained import initialize_
from atrous.models.vgg import VGG16
from atrous.models.vgg_weights import PARAMETERS, from_caffe_names, save_vgg_weights
from models.conftest import OneStage, narrow_


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "stride"),
    [
        ("vgg16", 1),
        ("resnet18", 4),
        pytest.param("mobilenet_v2", 2, marks=pytest.mark.slow),
        pytest.param("efficientnet_lite0", 2, marks=pytest.mark.slow),
    ],
)
def test_stages_are_joined_where_they_were_seen(backbone, stride):
    with torch.device("meta"):
        network = build_network("unet", backbone=backbone).eval()
        field = receptive_field(network, torch.zeros(1, 3, 64, 64))
    assert field.local == (network.receptive_field,) * 2
    assert field.stride == (network.output_stride,) * 2 == (stride, stride)
    assert field.center == (network.center,) * 2
    assert not any(layer.misalignment for layer in field.layers)


@pytest.mark.slow
def test_vgg_field_is_what_gradients_reach(measure_field):
    with torch.device("meta"):
        network = build_network("unet", num_classes=1, backbone="vgg16")
    network = narrow_(network)
    spans = [measure_field(network, side=400, cell=cell) for cell in range(192, 208)]
    assert max(last - first + 1 for first, last in spans) == network.receptive_field


def test_vgg_features_are_read_before_the_pools():
    torch.manual_seed(0)
    before, after = VGG16(output_stride=16, pooled=False).eval(), VGG16(output_stride=16).eval()
    after.load_state_dict(before.state_dict())
    images = torch.randn(1, 3, 37, 50)
    with torch.no_grad():
        fine, pooled = before(images), after(images)
    for stage in range(4):
        torch.testing.assert_close(nn.functional.max_pool2d(fine[stage], 2, ceil_mode=True), pooled[stage])
    torch.testing.assert_close(fine[4], pooled[4])
    strides = [stage.geometry.output_stride for stage in before.stages]
    assert strides == [1, 2, 4, 8, 16]
    assert [features.shape[2] for features in fine] == [37, 19, 10, 5, 3]


def test_decoder_has_the_widths_of_unet():
    with torch.device("meta"):
        network = build_network("unet", num_classes=2, backbone="vgg16")
    made = [pair[-1][0].out_channels for pair in network.get_submodule("up")]  # type: ignore[index]
    assert made == [512, 256, 128, 64]


@torch.no_grad()
def test_skips_tell_neighboring_pixels_apart():
    torch.manual_seed(0)
    network = build_network("unet", num_classes=2, backbone="vgg16").eval()
    images = 20 * torch.randn(1, 3, 48, 48)
    changed = images.clone()
    changed[..., 24, 24] += 200
    difference = (network(changed) - network(images)).abs().amax(1)[0]
    row, column = divmod(int(difference.argmax()), 48)
    assert max(abs(row - 24), abs(column - 24)) <= 3


def test_it_starts_from_vgg_weights(tmp_path: Path):
    network = build_network("unet", num_classes=2, backbone="vgg16")
    path = tmp_path / "vgg16.safetensors"
    tensors = {name: torch.randn(shape) for name, shape in PARAMETERS.items() if name.startswith("conv")}
    save_vgg_weights(path, from_caffe_names(tensors))
    initialize_(network, path)
    own = network.state_dict()
    assert len(tensors) == 26
    assert all(torch.equal(own[f"backbone.layers.{name}"], value) for name, value in tensors.items())


def test_backbones_of_one_stage_are_refused():
    with pytest.raises(ConfigError, match=r"this backbone has stride 32 only; choose vgg16, a resnet"):
        BackboneUNet(OneStage(), num_classes=2)
