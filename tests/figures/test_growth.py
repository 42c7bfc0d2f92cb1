"""Layers numbered along the longest path, by hand-made graphs."""

from atrous.figures.growth import grow, pixels
from atrous.geometry.axis import POINTWISE, Window
from atrous.geometry.graph import Layer
from atrous.geometry.receptive_field import receptive_field
from figures.graphs import BRANCHES, MEAN, conv, graph_of


def test_layers_of_a_stack_are_numbered_from_the_input_on():
    growth = grow(receptive_field([1, 2, 4]))
    assert [pixels(field) for field in growth.widest] == [1, 3, 7, 15]
    assert growth.strides == {}
    assert growth.all_from is None


def test_strides_stand_where_they_change():
    layers = [Layer(3), Layer(2, stride=2), Layer(3), Layer(3, stride=4)]
    assert grow(receptive_field(layers)).strides == {2: "2", 4: "8"}


def test_layers_are_numbered_along_the_longest_path_and_pointwise_ones_are_left_out():
    numbers = {field.node.name: number for number, field in grow(receptive_field(BRANCHES)).layers}
    assert numbers == {"input": 0, "stem": 1, "short": 2, "long1": 2, "long2": 3, "last": 4}


def test_the_widest_layer_of_each_number_is_followed():
    widest = grow(receptive_field(BRANCHES)).widest
    assert [field.node.name for field in widest] == ["input", "stem", "long1", "long2", "last"]
    assert [pixels(field) for field in widest] == [1, 3, 11, 13, 15]


def test_only_layers_that_the_asked_one_depends_on_count():
    growth = grow(receptive_field(BRANCHES, layer="short"))
    assert [field.node.name for _, field in growth.layers] == ["input", "stem", "short"]


def test_pads_and_global_operators_are_no_layers():
    graph = graph_of(
        ("pad", ("input",), Window(padding=(3, 3))),
        ("conv1", ("pad",), conv(1)),
        ("mean", ("conv1",), MEAN),
        ("scale", ("conv1", "mean"), POINTWISE),
        ("conv2", ("scale",), conv(1)),
    )
    growth = grow(receptive_field(graph))
    assert [field.node.name for field in growth.widest] == ["input", "conv1", "conv2"]
    assert growth.all_from == 1
