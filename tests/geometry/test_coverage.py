"""Coverage against the definition: every path counted one by one."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.errors import GeometryError
from atrous.geometry.axis import POINTWISE, Global, Window
from atrous.geometry.coverage import coverage
from atrous.geometry.graph import Layer
from atrous.geometry.receptive_field import receptive_field
from geometry.paths import build, count_paths, graph, plans


def assert_same(found, paths):
    expected = np.zeros(found.seen.shape)
    for position, number in paths.items():
        expected[tuple(np.subtract(position, found.start))] = number
    positions = np.array(list(paths))
    np.testing.assert_array_equal(positions.min(0), found.start)
    np.testing.assert_array_equal(positions.max(0) - positions.min(0) + 1, found.seen.shape)
    np.testing.assert_array_equal(found.seen, expected > 0)
    np.testing.assert_allclose(found.density, expected / expected.sum(), rtol=1e-12)
    assert found.fraction == (expected > 0).mean()
    np.testing.assert_array_equal(found.holes, np.argwhere(expected == 0) + found.start)


@given(plans())
def test_coverage_counts_every_path(plan):
    network = build(plan)
    cell = tuple(size // 2 for size in network.output.size)
    paths = count_paths(network, network.output.name, cell, borders=False, known={})
    if paths:
        found = coverage(network)
        assert found.cell == cell
        assert_same(found, paths)
    else:
        with pytest.raises(GeometryError, match="reads nothing"):
            coverage(network)


@given(plans(), st.data())
@pytest.mark.slow
def test_coverage_counts_every_path_inside_real_borders(plan, data):
    network = build(plan)
    cell = tuple(data.draw(st.integers(0, size - 1)) for size in network.output.size)
    paths = count_paths(network, network.output.name, cell, borders=True, known={})
    if paths:
        assert_same(coverage(network, cell=cell), paths)
    else:
        with pytest.raises(GeometryError, match="reads nothing of"):
            coverage(network, cell=cell)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(1, 4)), min_size=1, max_size=4))
def test_box_is_the_receptive_field(numbers):
    layers = [Layer(*layer) for layer in numbers]
    found, field = coverage(layers), receptive_field(layers)
    assert found.seen.shape == field.size
    assert found.start == field.start


# One axis, several axes


def test_axis_shows_what_is_seen_anywhere_on_the_others():
    network = graph(
        ("wide", ("input",), (POINTWISE, Window(3, dilation=2, padding=(2, 2))), ()),
        ("high", ("input",), (Window(5, padding=(2, 2)), POINTWISE), ()),
        ("sum", ("wide", "high"), (POINTWISE, POINTWISE), ()),
        rank=2,
    )
    found = coverage(network)
    cross = np.zeros((5, 5), bool)
    cross[2, ::2] = cross[:, 2] = True
    np.testing.assert_array_equal(found.seen, cross)
    assert found.density[2, 2] == 2 / 8
    across = found.axis(1)
    np.testing.assert_array_equal(across.seen, [True, False, True, False, True])
    np.testing.assert_allclose(across.density, [1 / 8, 0, 6 / 8, 0, 1 / 8])
    assert (across.start, across.cell, across.fraction) == ((-2,), (0,), 3 / 5)
    np.testing.assert_array_equal(across.holes, [[-1], [1]])
    assert found.axis(0).seen.all()


@pytest.mark.parametrize("rank", [2, 3])
def test_coverage_of_a_stack_is_the_product_of_its_axes(rank):
    line, whole = coverage([2, 4, 8]), coverage([(2,) * rank, (4,) * rank, (8,) * rank])
    assert whole.fraction == pytest.approx((15 / 29) ** rank)
    for axis in range(rank):
        np.testing.assert_array_equal(whole.axis(axis).seen, line.seen)
        np.testing.assert_allclose(whole.axis(axis).density, line.density)


def dilation10():
    """The layers of Dilation10 up to its upsampling (FACTS, sections 2 and 4)."""
    layers = []
    for number, dilation in ((2, 1), (2, 1), (3, 1), (3, 1), (3, 2)):
        layers += [Layer((3, 3), dilation=dilation, padding=0)] * number
        layers += [Layer((2, 2), stride=2, padding=0)] * (len(layers) < 11)
    layers += [Layer((7, 7), dilation=4, padding=0)]
    return layers + [Layer((3, 3), dilation=dilation) for dilation in (1, 1, 2, 4, 8, 16, 32, 64, 1)]


def test_dilation10_sees_each_of_its_2444_x_2444_pixels():
    found = coverage(dilation10())
    assert found.seen.shape == (2444, 2444)
    assert found.seen.all()
    assert found.density.sum() == pytest.approx(1)


# Deep networks


@pytest.mark.slow
def test_counts_survive_more_layers_than_float64_has_range():
    number = 700  # 3 ** 700 paths
    row = [1]
    for _ in range(number):
        row = [sum(row[max(i - 2, 0) : i + 1]) for i in range(len(row) + 2)]
    found = coverage([1] * number)
    total = 3**number
    np.testing.assert_allclose(
        found.density, [float(Fraction(n, total)) for n in row], rtol=1e-9, atol=1e-300
    )
    assert found.seen.all()


@pytest.mark.slow
def test_seen_does_not_depend_on_the_range_of_the_counts():
    nodes: list[Any] = [("far", ("input",), (Window(1, padding=(-5, 0)),), ())]
    last = "input"
    for number in range(1200):  # 2 ** 1200 paths, beside the single one through "far"
        branches = (f"a{number}", f"b{number}")
        nodes += [(name, (last,), (POINTWISE,), ()) for name in branches]
        last = f"sum{number}"
        nodes.append((last, branches, (POINTWISE,), ()))
    nodes.append(("out", (last, "far"), (POINTWISE,), ()))
    found = coverage(graph(*nodes))
    np.testing.assert_array_equal(found.seen, [True, False, False, False, False, True])
    np.testing.assert_array_equal(found.density, [1, 0, 0, 0, 0, 0])


# Operators that see everything


ATTENTION, POOLING = Global("attention", direct=True), Global("mean")
SMOOTH = Window(3, padding=(1, 1))


def gated(*, gate):
    """A convolution whose result is multiplied by a gate of its own, then a convolution."""
    return graph(
        ("input", (), (POINTWISE,), (9,)),
        ("conv", ("input",), (SMOOTH,), (9,)),
        ("gate", ("conv",), (gate,), (9,) if gate.direct else (1,)),
        ("product", ("conv", "gate"), (POINTWISE,), (9,)),
        ("last", ("product",), (SMOOTH,), (9,)),
    )


def test_paths_past_a_global_gate_are_reported():
    found = coverage(gated(gate=POOLING))
    np.testing.assert_allclose(found.density * 9, [1, 2, 3, 2, 1])
    assert found.sees_all == (True,)
    assert coverage(gated(gate=POOLING), layer="conv").sees_all == (False,)


def test_attention_also_reads_its_own_place():
    found = coverage(gated(gate=ATTENTION))
    np.testing.assert_allclose(found.density * 9, [1, 2, 3, 2, 1])  # through the gate as often as past it
    assert found.sees_all == (True,)


@pytest.mark.parametrize("cell", [None, 0, 8])
def test_behind_a_global_pooling_a_cell_is_one_of_the_last_map(cell):
    classifier = graph(
        ("input", (), (POINTWISE,), (17,)),
        ("conv", ("input",), (Window(3, stride=2, padding=(1, 1)),), (9,)),
        ("pool", ("conv",), (POOLING,), (1,)),
        ("linear", ("pool",), (POINTWISE,), (1,)),
    )
    found, of_map = coverage(classifier, cell=cell), coverage(classifier, layer="conv", cell=cell)
    assert found.sees_all == (True,)
    assert (found.cell, found.start) == (of_map.cell, of_map.start)
    np.testing.assert_array_equal(found.seen, of_map.seen)
    with pytest.raises(GeometryError, match=r'"linear" has 9 cells; 9 is none of them'):
        coverage(classifier, cell=9)


def test_an_axis_that_is_left_keeps_its_borders_behind_a_pooling_of_the_other():
    rows = graph(
        ("input", (), (POINTWISE, POINTWISE), (4, 5)),
        ("mean", ("input",), (POOLING, POINTWISE), (1, 5)),
        ("conv", ("mean",), (POINTWISE, SMOOTH), (1, 5)),
    )
    found = coverage(rows, cell=(3, 0))
    assert (found.start, found.seen.shape) == ((3, 0), (1, 2))


# Between two layers


def test_source_asks_for_the_cells_of_a_layer():
    found = coverage([2, 4, 8], source="layer1")
    np.testing.assert_array_equal(found.holes, coverage([4, 8]).holes)
    assert found.source.name == "layer1"


def test_other_inputs_are_not_the_source():
    two = graph(
        ("image", ("input",), (POINTWISE,), ()),
        ("other", (), (POINTWISE,), ()),
        ("sum", ("image", "other"), (SMOOTH,), ()),
    )
    assert coverage(two).seen.size == 3
    with pytest.raises(GeometryError, match='"image" does not depend on "other"'):
        coverage(two, layer="image", source="other")


# Bad input


def test_coverage_refuses_more_memory_than_is_allowed():
    stack = [(100, 100, 100)] * 3
    with pytest.raises(GeometryError, match=r"601 x 601 x 601 px .* take 1\.8 GiB, more than max_memory=1;"):
        coverage(stack, max_memory=1)
    assert coverage(stack, layer="layer1", max_memory=0.1).seen.sum() == 27


def test_coverage_counts_the_memory_of_branches():
    skip = graph(
        ("conv", ("input",), (Window(101), Window(101)), ()),
        ("sum", ("conv", "input"), (POINTWISE, POINTWISE), ()),
        rank=2,
    )
    with pytest.raises(GeometryError, match=r"max_memory=0\.0002;"):
        coverage(skip, max_memory=0.0002)
    assert coverage(skip, layer="conv", max_memory=0.0002).seen.all()


def test_coverage_refuses_a_cell_where_there_are_no_borders():
    with pytest.raises(GeometryError, match="no borders"):
        coverage([1, 2], cell=0)


@pytest.mark.parametrize("cell", [9, -1, (0, 0)])
def test_coverage_refuses_a_cell_that_is_none(cell):
    with pytest.raises(GeometryError, match=r'"last" has 9 cells; .* is none of them'):
        coverage(gated(gate=POOLING), cell=cell)


def test_coverage_refuses_an_unknown_layer():
    with pytest.raises(GeometryError, match='no layer "fc"'):
        coverage([1, 2], layer="fc")
