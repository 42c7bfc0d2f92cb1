"""Random small graphs, and every path through them counted one by one."""

import itertools
import math
from collections import Counter
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from atrous.geometry.axis import POINTWISE, Interleaved, Resample, Transposed, Window
from atrous.geometry.graph import Node, SpatialGraph


def graph(*nodes, rank=1):
    """Nodes (name, inputs, axes, size) behind an input."""
    first = nodes[0] if nodes[0][0] == "input" else ("input", (), (POINTWISE,) * rank, ())
    rest = nodes[1:] if nodes[0][0] == "input" else nodes
    made = [Node(name, name, "", inputs, axes, size) for name, inputs, axes, size in (first, *rest)]
    return SpatialGraph(tuple(made), outputs=(made[-1].name,))


def taps(axis: Any, cell: int) -> list[int]:
    """The input cells that one output cell reads along one axis, by definition."""
    match axis:
        case Window(kernel_size, stride, dilation, (before, _)):
            return [stride * cell - before + dilation * tap for tap in range(kernel_size)]
        case Transposed(kernel_size, stride, dilation, (before, _)):
            return [
                given
                for tap in range(kernel_size)
                for given in range(-99, 99)
                if stride * given - before + dilation * tap == cell
            ]
        case Resample(slope, offset, reach):
            below = math.floor(slope * cell + offset)
            is_between = below < slope * cell + offset and reach > 0
            return list(range(below + 1 - reach, below + 1 + reach)) if is_between else [below]
        case Interleaved(inner, phases, phases_read):
            return [q * phases_read + cell % phases for q in taps(inner, cell // phases)]
    raise AssertionError(axis)


def bounce(position, size, beyond):
    while not 0 <= position < size:
        match beyond:
            case "nothing":
                return None
            case "replicate":
                position = min(max(position, 0), size - 1)
            case "circular":
                position += size if position < 0 else -size
            case "reflect":
                position = 0 if size == 1 else -position if position < 0 else 2 * (size - 1) - position
    return position


def count_paths(network, name, cell, *, borders, known):
    """Input position -> number of paths from it to a cell of a node."""
    if (name, cell) not in known:
        node, paths = network[name], Counter({cell: 1} if name == "input" else {})
        for before in node.inputs:
            read = [taps(*axis) for axis in zip(node.axes, cell, strict=True)]
            if borders:
                ends = zip(read, network[before].size, node.axes, strict=True)
                read = [[bounce(p, size, axis.beyond) for p in positions] for positions, size, axis in ends]
            for position in itertools.product(*([p for p in axis if p is not None] for axis in read)):
                paths.update(count_paths(network, before, position, borders=borders, known=known))
        known[name, cell] = paths
    return known[name, cell]


def interleaved(window, phases, phases_read):
    return Interleaved(Window(*window[1:]), phases, phases_read)


WINDOWS = st.tuples(
    st.just(Window),
    st.integers(1, 3),  # kernel size
    st.integers(1, 2),  # stride
    st.integers(1, 3),  # dilation
    st.tuples(st.integers(-1, 3), st.just(0)),
    st.sampled_from(["nothing", "reflect", "replicate", "circular"]),
)
TRANSPOSED = st.tuples(
    st.just(Transposed),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 2),
    st.tuples(st.integers(0, 2), st.just(0)),
)
RESAMPLED = st.tuples(
    st.just(Resample),
    st.sampled_from([Fraction(1, 2), Fraction(2, 3), Fraction(3, 2), Fraction(1)]),
    st.sampled_from([Fraction(0), Fraction(-1, 4), Fraction(1, 3)]),
    st.integers(0, 2),  # reach
)
INTERLEAVED = st.tuples(st.just(interleaved), WINDOWS, st.integers(2, 3), st.integers(1, 3))
AXES = st.one_of(WINDOWS, st.just((Window,)), TRANSPOSED, RESAMPLED, INTERLEAVED)


@st.composite
def plans(draw):
    """Up to five operators, each on one or two of the nodes before it, on 1 to 3 axes with ends anywhere."""
    rank = draw(st.integers(1, 3))
    size = st.tuples(*[st.integers(1, 7)] * rank)
    nodes: list[Any] = [("input", (), ((Window,),) * rank, draw(size))]
    for number in range(draw(st.integers(1, 5 if rank < 3 else 3))):
        names = [name for name, *_ in nodes]
        inputs = tuple(dict.fromkeys([names[-1], draw(st.sampled_from(names))]))
        nodes.append((f"n{number}", inputs, draw(st.tuples(*[AXES] * rank)), draw(size)))
    return nodes


def build(plan):
    """The graph of a plan; strategies draw plain numbers, since types are checked with a random generator."""
    return graph(
        *(
            (name, inputs, tuple(kind(*numbers) for kind, *numbers in axes), size)
            for name, inputs, axes, size in plan
        )
    )
