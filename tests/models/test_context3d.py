import pytest
import torch

from atrous.errors import ConfigError
from atrous.geometry.receptive_field import receptive_field
from atrous.geometry.trace import trace
from atrous.models.catalog import build_network
from atrous.models.context3d import DILATIONS, ContextNetwork3D


def test_fields_are_those_of_the_table():
    network = ContextNetwork3D(3)
    graph = trace(network, torch.zeros(1, 1, 40, 40, 40))
    for number, field in zip(range(1, 7), (3, 5, 9, 17, 33, 35), strict=True):
        found = receptive_field(graph, layer=f"layers.block{number}")
        assert found.size == (field,) * 3
    assert network.receptive_field == 35


def test_it_has_the_parameters_that_its_table_says():
    width, classes = 16, 3
    convolutions = 27 * width + (len(DILATIONS) - 1) * 27 * width**2
    norms, final = 2 * width * len(DILATIONS), (width + 1) * classes
    assert build_network("context3d").num_parameters() == convolutions + norms + final == 35_235


def test_blocks_add_to_their_input_where_channels_agree():
    network = ContextNetwork3D(2, width=4, dilations=(1, 2)).eval()
    for parameter in network.layers[1].parameters():
        torch.nn.init.zeros_(parameter)
    values = torch.randn(1, 4, 5, 6, 7)
    assert network.layers[1](values).equal(values)


@pytest.mark.parametrize("dilations", [(), (1, 0)])
def test_dilations_that_make_no_network_are_refused(dilations):
    with pytest.raises(ConfigError, match="make no network"):
        ContextNetwork3D(2, dilations=dilations)


def test_a_context_module_on_top_is_refused():
    with pytest.raises(ConfigError, match="has a context module already"):
        build_network("context3d", context_module="basic")
