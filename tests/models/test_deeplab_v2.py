"""DeepLab v2: parameters, the sum of its branches, and scales joined where they lie."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from atrous.errors import ConfigError
from atrous.geometry.receptive_field import receptive_field
from atrous.models.backbone import Backbone, Stage
from atrous.models.catalog import build_network
from atrous.models.contract import PLAIN_RGB, LogitGeometry
from atrous.models.deeplab_v2 import DILATIONS, MultiScale, aspp_head
from atrous.models.heads import Head
from atrous.models.vgg import vgg16


def test_parameters_are_those_of_backbone_and_branches():
    resnet101, vgg = 42_500_160, 14_714_688  # without their classes
    fc6_to_fc8 = 9 * 512 * 1024 + 1024 + 1024 * 1024 + 1024 + 1024 * 21 + 21
    with torch.device("meta"):
        assert build_network("deeplab_v2").num_parameters() == resnet101 + 4 * (9 * 2048 * 21 + 21)
        assert build_network("deeplab_v2", backbone="vgg16").num_parameters() == vgg + 4 * fc6_to_fc8


def test_head_is_the_sum_of_four_convolutions():
    torch.manual_seed(0)
    head, features = aspp_head(5, 3), torch.randn(2, 5, 60, 50)
    expected = sum(
        functional.conv2d(features, branch.weight, branch.bias, padding=dilation, dilation=dilation)
        for dilation, branch in zip(DILATIONS, head[0].branches, strict=True)  # type: ignore[arg-type]
    )
    torch.testing.assert_close(head(features), expected)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet18", "vgg16"])
def test_both_scales_have_the_same_tensors_and_classes(backbone):
    with torch.device("meta"):
        one = build_network("deeplab_v2", backbone=backbone)
        three = build_network("deeplab_v2_msc", backbone=backbone).eval()
        field = receptive_field(three, torch.zeros(1, 3, 64, 64))
    assert three.misfits(one.state_dict()) == ()
    assert one.class_layers() == three.class_layers()
    known = {path for path, value in one.named_parameters() if path.startswith(tuple(one.class_layers()))}
    assert {value.shape[0] for path, value in one.named_parameters() if path in known} == {21}
    assert field.local == (three.receptive_field,) * 2
    assert not any(layer.misalignment for layer in field.layers)


class Every8th(Backbone):
    """Passes every 8th pixel on, so that logits say where they come from."""

    def __init__(self) -> None:
        super().__init__()
        self.normalization = PLAIN_RGB
        self.stages = (Stage(3, LogitGeometry(8, 0.0, 1)),)

    def forward(self, images):
        return (images[..., ::8, ::8],)


def test_scales_are_joined_where_they_lie():
    classifier = Head(nn.Identity(), cells=1)
    network = MultiScale(Every8th(), classifier, num_classes=3)
    for height, width in [(65, 80), (33, 102), (97, 129)]:
        rows, columns = torch.arange(height).double(), torch.arange(width).double()
        images = (rows[:, None] + 2 * columns).expand(1, 3, -1, -1)
        # what a scale reads beyond its last cell repeats it, and so is smaller: the maximum is the ramp
        torch.testing.assert_close(network(images), images[..., ::8, ::8])
        inner = network(-images)[..., :-4, :-4]
        torch.testing.assert_close(inner, -images[..., ::8, ::8][..., :-4, :-4])


def test_scales_are_refused_where_cells_are_centered_elsewhere():
    backbone = vgg16(output_stride=8)
    with pytest.raises(
        ConfigError, match=r"around pixel 0, and the first cell of this backbone is centered on 3.5"
    ):
        MultiScale(backbone, aspp_head(512, 3), num_classes=3)
