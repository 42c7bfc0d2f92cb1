"""Front end and context module together."""

import pytest
import torch

from atrous.errors import ShapeError
from atrous.models.compact import CompactFrontEnd
from atrous.models.context import ContextModule
from atrous.models.contract import Normalization
from atrous.models.dilated_net import DilatedNet


@pytest.fixture
def network():
    torch.manual_seed(0)
    return DilatedNet(front_end=CompactFrontEnd(4), context=ContextModule(4, dilations=(1, 2), noise=0.2))


def test_network_is_its_context_module_on_its_front_end(network):
    images = torch.randn(2, 3, 21, 18)
    assert network(images).equal(network.context(network.front_end(images)))


def test_fresh_context_module_only_rectifies_the_front_end():
    front_end = CompactFrontEnd(4)
    network = DilatedNet(front_end=front_end, context=ContextModule(4))
    images = torch.randn(1, 3, 30, 40)
    assert network(images).equal(front_end(images).relu())


def test_geometry_is_the_front_ends_with_a_wider_view(network):
    front_end = network.front_end
    assert network.num_classes == 4
    assert network.output_stride == front_end.output_stride == 4
    assert network.center == front_end.center
    assert network.margin == front_end.margin
    assert network.receptive_field == front_end.receptive_field + (7 - 1) * 4


def test_new_layers_are_the_head_and_the_context_module(network):
    assert network.new_layers() == ("front_end.layers.", "context.")


def test_another_normalization_reaches_the_front_end(network):
    normalization = Normalization((1.0, 2.0, 3.0), channels="BGR")
    network.use_normalization_(normalization)
    assert network.normalization == normalization
    assert network.front_end.normalization == normalization


def test_parts_for_different_classes_are_refused():
    with pytest.raises(
        ShapeError, match="front end of 3 classes and context module of 4: build both for the"
    ):
        DilatedNet(front_end=CompactFrontEnd(3), context=ContextModule(4))
