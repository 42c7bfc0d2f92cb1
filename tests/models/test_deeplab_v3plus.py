"""DeepLab v3+: parameters, other backbones and strides, and what is refused."""

import pytest
import torch

from atrous.errors import ConfigError
from atrous.geometry.receptive_field import receptive_field
from atrous.models.backbone import Backbone
from atrous.models.catalog import build_network
from atrous.models.deeplab_v3 import multi_grid
from atrous.models.deeplab_v3plus import DeepLabV3Plus
from atrous.models.resnet import resnet18
from atrous.models.vgg import vgg16
from models.test_fcn import OneStage


def separable(given: int, made: int) -> int:
    return 9 * given + 2 * given + given * made + 2 * made


def test_parameters_are_those_of_its_parts():
    pointwise = 2048 * 256 + 2 * 256  # with the two values of a batch norm for every channel
    pyramid = 2 * pointwise + 3 * separable(2048, 256) + 5 * 256 * 256 + 2 * 256
    decoder = 256 * 48 + 2 * 48 + separable(304, 256) + separable(256, 256) + 257 * 21
    with torch.device("meta"):
        assert build_network("deeplab_v3plus").num_parameters() == 42_500_160 + pyramid + decoder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "dilations"),
    [
        (lambda: resnet18(output_stride=8, dilations=multi_grid(8)), (12, 24, 36)),
        (lambda: vgg16(output_stride=16), (6, 12, 18)),
        (lambda: vgg16(output_stride=8), (12, 24, 36)),
    ],
)
def test_geometry_holds_on_other_backbones_and_strides(build, dilations):
    with torch.device("meta"):
        network = DeepLabV3Plus(build(), num_classes=3, dilations=dilations).eval()
        field = receptive_field(network, torch.zeros(1, 3, 64, 64))
    assert field.local == (network.receptive_field,) * 2
    assert field.stride == (4, 4)
    assert field.center == (network.center,) * 2
    assert not any(layer.misalignment for layer in field.layers)


def test_backbones_of_one_stage_are_refused():
    backbone: Backbone = OneStage()
    with pytest.raises(ConfigError, match=r"at stride 32, and 4 is wanted; choose vgg16, a resnet"):
        DeepLabV3Plus(backbone, num_classes=3)
