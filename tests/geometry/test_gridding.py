"""Gridding: the node where it begins, the grids, and the layer that is responsible."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from atrous.errors import GeometryError
from atrous.geometry.coverage import coverage
from atrous.geometry.graph import Layer
from atrous.geometry.gridding import find_gridding

# Holes at the input


@pytest.mark.parametrize(
    ("dilations", "culprit", "grids"),
    [
        ((2, 4, 8), "layer1", 2),
        ((2, 2, 2), "layer1", 2),
        ((3, 6, 12), "layer1", 3),
        ((1, 2, 9), "layer3", 1),
        ((2, 1, 9), "layer3", 1),  # the second layer closes the holes of the first
        ((3, 4, 5), "layer1", 1),
    ],
)
def test_holes_at_the_input_come_from_the_layer_that_none_later_makes_good(dilations, culprit, grids):
    found = find_gridding(dilations)
    assert found is not None
    assert (found.node.name, found.culprit.name, found.grids) == ("input", culprit, (grids,))
    assert found.fraction == coverage(dilations).fraction


@pytest.mark.parametrize(
    "layers",
    [
        (1, 1, 2, 4, 8, 16, 1),
        (1, 2, 3),
        (1, 2, 5),
        (9, 3, 1),
        (1,) * 5,
        (Layer(kernel_size=2, stride=2, padding=0), 1, 1),
        (Layer(kernel_size=1, stride=2), 1, 1),  # skipped by every output alike
    ],
)
def test_stacks_that_mix_all_neighbors_are_not_gridded(layers):
    assert find_gridding(layers) is None


def test_each_axis_has_its_own_grids():
    found = find_gridding([(2, 1, 3), (4, 1, 3)])
    assert found is not None
    assert found.grids == (2, 1, 3)
    assert found.fraction == pytest.approx(7 / 13 * 5 / 5 * 5 / 13)


# Grids inside, though the input has no holes


@pytest.mark.parametrize(
    ("dilations", "node", "culprit", "grids"),
    [
        ((1, 2, 4), "layer1", "layer2", 2),
        ((1, 1, 2, 4, 8), "layer2", "layer3", 2),
        ((1, 3, 9), "layer1", "layer2", 3),
    ],
)
def test_layers_in_a_row_that_skip_the_same_neighbors_make_grids(dilations, node, culprit, grids):
    found = find_gridding(dilations)
    assert found is not None
    assert coverage(dilations).fraction == 1
    assert (found.node.name, found.culprit.name, found.grids) == (node, culprit, (grids,))
    assert found.fraction == coverage(dilations, source=node).fraction


class Block(nn.Module):
    """The bottleneck of a ResNet."""

    def __init__(self, channels: int, out_channels: int, *, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 1, 1)
        self.conv2 = nn.Conv2d(1, 1, 3, stride, padding=dilation, dilation=dilation)
        self.conv3 = nn.Conv2d(1, out_channels, 1)
        self.shortcut = (
            nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1, stride)
        )

    def forward(self, values: Tensor) -> Tensor:
        return torch.relu(self.conv3(self.conv2(self.conv1(values))) + self.shortcut(values))


def resnet(*, dilated):
    """A ResNet-26; the first block of a dilated stage keeps the dilation of the stage before."""
    network = nn.Sequential(nn.Conv2d(1, 1, 7, 2, 3), nn.MaxPool2d(3, 2, 1))
    network.add_module(
        "layer1", nn.Sequential(*(Block(min(i + 1, 2), 2, stride=1, dilation=1) for i in range(2)))
    )
    dilation = 1
    for stage, (channels, out_channels) in enumerate(pairwise((2, 3, 4, 5)), start=2):
        is_dilated = dilated and stage > 2
        first = Block(channels, out_channels, stride=1 if is_dilated else 2, dilation=dilation)
        dilation *= 2 if is_dilated else 1
        second = Block(out_channels, out_channels, stride=1, dilation=dilation)
        network.add_module(f"layer{stage}", nn.Sequential(first, second))
    return network


EXAMPLE = torch.zeros(1, 1, 64, 64)


@pytest.mark.slow
def test_a_dilated_resnet_sees_all_and_still_falls_apart_into_grids():
    network = resnet(dilated=True)
    assert coverage(network, EXAMPLE).fraction == 1
    found = find_gridding(network, EXAMPLE)
    assert found is not None
    assert (found.node.module, found.culprit.module) == ("layer3.0.conv2", "layer3.1.conv2")
    assert found.grids == (2, 2)
    # layer3.1 and layer4.0 (dilation 2) and layer4.1 (dilation 4) reach every second of 8 cells to each side
    assert found.fraction == pytest.approx((9 / 17) ** 2)


def test_a_resnet_with_its_strides_is_not_gridded():
    assert find_gridding(resnet(dilated=False), EXAMPLE) is None


def test_gridding_is_that_of_the_layer_asked_about():
    assert find_gridding(resnet(dilated=True), EXAMPLE, layer="layer3.0") is None
    assert find_gridding([2, 1, 1], layer="layer1") is not None
    assert find_gridding([2, 1, 1]) is None


def test_a_tail_without_dilation_mixes_the_grids_again():
    tail = nn.Sequential(
        resnet(dilated=True), nn.Conv2d(5, 5, 3, padding=2, dilation=2), nn.Conv2d(5, 5, 3, padding=1)
    )
    assert find_gridding(tail, EXAMPLE) is None


def test_behind_a_global_pooling_the_last_map_counts():
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))
    found = find_gridding(nn.Sequential(resnet(dilated=True), *head), EXAMPLE)
    assert found is not None
    assert found.grids == (2, 2)


# In words


def test_explain_names_the_layers_and_the_share_that_is_read():
    of_input, inside = find_gridding([2, 4, 8]), find_gridding([(1, 1), (2, 2), (4, 4)])
    assert of_input is not None
    assert inside is not None
    assert of_input.explain() == (
        'One output of "layer3" reads 51.7% of the input pixels inside its box; they are one of 2 grids that '
        'never meet again. The holes come from "layer1" (kernel size 3, dilation 2, stride 1), and no later '
        "layer closes them."
    )
    assert inside.explain() == (
        'One output of "layer3" reads 29.0% of the cells of "layer1" inside its box; they are one of 4 grids '
        'that never meet again. The holes come from "layer2" (kernel size 3, dilation 2, stride 1), and no '
        "later layer closes them."
    )


def test_explain_gives_the_numbers_of_every_axis_where_they_differ():
    found = find_gridding([(2, 1), (4, 3)])
    assert found is not None
    assert "(kernel size 3, dilation 2 x 1, stride 1)" in found.explain()


def test_find_gridding_refuses_an_unknown_layer():
    with pytest.raises(GeometryError, match='no layer "fc"'):
        find_gridding([2, 4], layer="fc")
