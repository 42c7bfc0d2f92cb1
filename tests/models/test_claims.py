"""A checkpoint's claims are held against its tensors before a network of that size is made."""

import tracemalloc
from dataclasses import replace

import pytest
import torch

from atrous.errors import CheckpointError
from atrous.models.catalog import CATALOG, build_network, network_of, to_checkpoint
from atrous.models.claims import fitting_network, refuse_other_normalization
from atrous.models.companding import Companding
from atrous.models.contract import PLAIN_RGB
from atrous.models.window import Window


def stored(name="compact", num_classes=3):
    network = build_network(name, num_classes=num_classes)
    return to_checkpoint(network, name=name, labels={}, progress={})


@pytest.mark.parametrize("name", CATALOG)
def test_every_network_is_planned_without_memory(name):
    with torch.device("meta"):
        network = build_network(name)
    assert all(parameter.is_meta for parameter in network.parameters())


def test_a_network_of_other_tensors_is_not_made():
    made = []

    def build(name, **arguments):
        network = build_network(name, **arguments)
        made.append(next(network.parameters()).device.type)
        return network

    checkpoint = stored()
    fitting_network(checkpoint, build, source="here")
    assert made == ["meta", "cpu"]
    with pytest.raises(CheckpointError, match='here holds no weights of a "dilation8"'):
        fitting_network(replace(checkpoint, network="dilation8"), build, source="here")
    assert made == ["meta", "cpu", "meta"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("compact", {"num_classes": 10**9}),
        ("compact", {"num_classes": 10**400}),
        ("compact", {"in_channels": 10**9}),
        ("compact", {"num_classes": 3, "x": 10**12}),
        ("wavenet", {"in_channels": 10**9}),
        ("deeplab_v3", {"num_classes": 10**9, "backbone": "timm:resnet18"}),  # refused before timm is asked
    ],
)
def test_numbers_beyond_the_tensors_cost_nothing(name, arguments):
    checkpoint = replace(stored(), network=name, arguments=arguments)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=r"here (describes a network that|holds no weights of)"):
        network_of(checkpoint, source="here")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_a_foreign_backbone_under_too_many_classes_is_not_made():
    arguments = {"num_classes": 10**9, "backbone": "timm:resnet18"}
    with pytest.raises(
        CheckpointError, match="num_classes is 1000000000, and none of its tensors is as long"
    ):
        network_of(replace(stored(), network="deeplab_v3", arguments=arguments), source="here")


@pytest.mark.parametrize(
    ("name", "normalization"),
    [
        ("compact", Window()),
        ("compact", Companding(16_000, 3)),
        ("context3d", PLAIN_RGB),
        ("wavenet_labeler", PLAIN_RGB),
        ("wavenet_labeler", Companding(16_000, 10**9)),
    ],
)
def test_input_of_another_kind_is_refused(name, normalization):
    with torch.device("meta"):
        network = build_network(name)
    refuse_other_normalization(network, network.normalization, source="here")
    with pytest.raises(CheckpointError, match=r"here normalizes by .* which gives no input of its network"):
        refuse_other_normalization(network, normalization, source="here")
