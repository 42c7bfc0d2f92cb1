"""FCN: the paper's parameters, VGG's own fc6 and fc7 in it, and skips that start from nothing."""

import pytest
import torch
from torch import nn

from atrous.errors import ConfigError
from atrous.geometry.receptive_field import receptive_field
from atrous.layers.upsample_features import upsample_features
from atrous.models.catalog import build_network
from atrous.models.fcn import FCN, FULL_HEAD, LIGHT_HEAD, SKIPS
from atrous.models.frontend import Head
from atrous.models.resnet import resnet18
from atrous.models.vgg import vgg16
from atrous.models.vgg_weights import PARAMETERS, by_vgg_names
from models.conftest import OneStage

TINY_HEAD = Head(channels=4, kernel_size=7, dilation=1)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("fcn32s", 14_714_688 + 102_764_544 + 16_781_312 + 4097 * 21),  # VGG-16, fc6, fc7, score
        ("fcn16s", 134_346_581 + 513 * 21 + 16 * 21 * 21),  # pool4's score, a doubling
        ("fcn8s", 134_364_410 + 257 * 21 + 16 * 21 * 21),  # the same of pool3
    ],
)
def test_parameters_are_those_of_the_released_layers(name, parameters):
    with torch.device("meta"):
        assert build_network(name).num_parameters() == parameters


def test_fcn_starts_from_all_of_vgg():
    with torch.device("meta"):
        vgg = {name: torch.empty(shape) for name, shape in PARAMETERS.items()}
        found, wrong = by_vgg_names(vgg, build_network("fcn8s"))
        light, _ = by_vgg_names(vgg, FCN(vgg16(), LIGHT_HEAD, num_classes=3))
    assert wrong == ()
    assert len(found) == len(PARAMETERS)
    assert found["head.fc6.weight"] is vgg["fc6.weight"]
    assert set(light) == {f"backbone.layers.{name}" for name in PARAMETERS if name.startswith("conv")}


def test_light_head_sees_what_the_full_one_sees():
    assert LIGHT_HEAD.cells == FULL_HEAD.cells == 7


@pytest.mark.parametrize("backbone", [vgg16, resnet18])
def test_fresh_skips_leave_the_coarse_scores_interpolated(backbone):  # section 4.2
    torch.manual_seed(0)
    network = FCN(backbone(), TINY_HEAD, num_classes=3, skips=SKIPS).eval()
    shift = 0.0 if backbone is resnet18 else -0.5
    images = 100 * torch.randn(1, 3, 75, 90)
    with torch.no_grad():
        *_, pool3, pool4, pool5 = network.backbone(images)
        coarse = network.score(network.head(pool5))
        for finer in (pool4, pool3):
            coarse = upsample_features(coarse, finer, factor=2, shift=shift)
        torch.testing.assert_close(network(images), coarse)
        score = network.skip_scores[1]
        for parameter in score.parameters():
            nn.init.normal_(parameter)
        torch.testing.assert_close(network(images), coarse + score(1e-4 * pool3))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backbone"), [("fcn16s", "resnet18"), ("fcn8s", "mobilenet_v3_large")])
def test_geometry_holds_on_other_backbones(name, backbone):
    with torch.device("meta"):
        network = build_network(name, backbone=backbone).eval()
        field = receptive_field(network, torch.zeros(1, 3, 64, 64))
    assert field.local == (network.receptive_field,) * 2
    assert field.stride == (network.output_stride,) * 2
    assert field.center == (network.center,) * 2
    assert not any(layer.misalignment for layer in field.layers)


def test_skips_are_refused_where_the_backbone_has_one_stage():
    assert FCN(OneStage(), TINY_HEAD, num_classes=3).output_stride == 32
    message = r"at stride 32, and 16 is wanted; choose vgg16, a resnet"
    with pytest.raises(ConfigError, match=message):
        FCN(OneStage(), TINY_HEAD, num_classes=3, skips=SKIPS)
