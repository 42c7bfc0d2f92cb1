import pytest
import torch
from torch import nn

from atrous.errors import ConfigError
from atrous.geometry.coverage import coverage
from atrous.geometry.gridding import find_gridding
from atrous.models.catalog import build_network
from atrous.models.hdc import LAYER3, LAYER4, DUCNetwork

IMAGES = torch.zeros(1, 3, 64, 64, device="meta")


def test_resnet101_has_the_papers_dilations():
    """Section 4.1, "dilation-bigger": groups of four in the 23 blocks of layer3, the last three 1, 2, 5."""
    with torch.device("meta"):
        network = build_network("hdc_duc")
    dilations = [
        [
            layer.dilation[0]
            for layer in stage.modules()
            if isinstance(layer, nn.Conv2d) and layer.kernel_size[0] == 3
        ]
        for stage in map(network.get_submodule, [f"backbone.layer{number}" for number in (1, 2, 3, 4)])
    ]
    assert set(dilations[0] + dilations[1]) == {1}
    assert dilations[2] == [1, 2, 5, 9] * 5 + [1, 2, 5]
    assert dilations[3] == [5, 9, 17]


def test_groups_cover_what_one_module_alone_does_not():
    assert coverage(LAYER3).fraction == 1
    assert coverage(LAYER4).seen.sum() == 27  # of 63: they stand on the groups before
    assert coverage([*LAYER3, *LAYER4]).fraction == 1


@pytest.mark.slow
def test_hybrid_dilation_ends_gridding():
    with torch.device("meta"):
        usual, hybrid = build_network("fcn_resnet101").eval(), build_network("hdc_duc").eval()
    found = find_gridding(usual, IMAGES, layer="backbone.layer4")
    assert found is not None
    assert found.grids == (2, 2)
    assert find_gridding(hybrid, IMAGES, layer="backbone.layer4") is None


@torch.no_grad()
def test_cells_paint_the_pixels_round_their_center():
    torch.manual_seed(0)
    network = build_network("hdc_duc", num_classes=2, backbone="resnet18").eval()
    assert isinstance(network, DUCNetwork)
    images = torch.randn(1, 3, 27, 35)
    (conv,) = network.convs
    cells = conv(network.backbone(images)[-1])
    logits = network(images)
    for y in range(27):
        for x in range(35):
            row, column = min((y + 4) // 8, cells.shape[2] - 1), min((x + 4) // 8, cells.shape[3] - 1)
            inside = (y + 4) % 8 * 8 + (x + 4) % 8
            torch.testing.assert_close(logits[0, :, y, x], cells[0, [inside, 64 + inside], row, column])


@torch.no_grad()
def test_released_network_adds_four_dilated_convolutions_up():
    torch.manual_seed(0)
    network = build_network("hdc_duc_aspp", num_classes=2, backbone="resnet18").eval()
    assert isinstance(network, DUCNetwork)
    assert [conv.dilation[0] for conv in network.convs if isinstance(conv, nn.Conv2d)] == [6, 12, 18, 24]
    images = torch.randn(1, 3, 16, 16)
    features = network.backbone(images)[-1]
    cells = torch.stack([conv(features) for conv in network.convs]).sum(0)
    torch.testing.assert_close(network(images)[..., 0, 0], cells[:, 4 * 8 + 4 :: 64, 0, 0])


def test_other_backbones_have_no_dilations_to_choose():
    with pytest.raises(ConfigError, match=r'hybrid dilation is of ResNets, not of "vgg16"'):
        build_network("hdc_duc", backbone="vgg16")
