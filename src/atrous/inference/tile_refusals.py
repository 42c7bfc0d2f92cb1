"""Why a network does something else to a part of its input than to the whole."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves

from atrous.errors import GeometryError
from atrous.geometry.axis import Global, Interleaved
from atrous.geometry.exported import TracedProgram
from atrous.geometry.layout import axes_of
from atrous.geometry.program import aligns, numbers_of, operator_name
from atrous.geometry.receptive_field import ReceptiveField
from atrous.inference.stream_arguments import Arguments

# Operators whose numbers may be sizes of the input: what they make of the axes is in the graph.
_MEASURED = frozenset(
    {
        "view",
        "reshape",
        "unflatten",
        "expand",
        "broadcast_to",
        "_unsafe_view",
        "slice",
        "narrow",
        "from_phases",
    }
)


def refuse_global(traced: TracedProgram) -> None:
    """Refuse a network that cannot be cut whatever the sizes are.

    Raises:
        GeometryError: If an operator sees the whole of an axis or wraps round it, or the network returns
            something else than one map (b, k, h, w).
    """
    graph = traced.graph
    for node in graph:
        for axis in node.axes:
            if isinstance(axis, Global):
                raise GeometryError(
                    f'"{node.label}" sees the whole axis ({axis.reason}) {node.line}; run the network on the '
                    "whole image"
                )
            inner = axis.inner if isinstance(axis, Interleaved) else axis
            if inner.beyond == "circular":
                raise GeometryError(
                    f'"{node.label}" wraps round the axis {node.line}; run the network on the whole image'
                )
    places = [axes_of([dim]) for dim in traced.layouts[graph.output.name]]
    if len(graph.outputs) > 1 or len(places) != 4 or places[2:] != [{0}, {1}]:
        raise GeometryError(
            f"the network returns {len(graph.outputs)} outputs, the first {graph.output.shape}; wrap it so "
            "that it returns one map (b, k, h, w)"
        )


def refuse_empty(layers: tuple[ReceptiveField, ...]) -> None:
    """Refuse what a receptive field does not show: whether a cell that reads no input is there at all.

    Raises:
        GeometryError: If a transposed convolution leaves cells between those that it writes to.
    """
    for layer in layers:
        if any(None in field.first for field in layer.axes):
            node = layer.node
            raise GeometryError(
                f'"{node.label}" ({node.operator}) has cells that read nothing {node.line}; run it on '
                "the whole image, or give the layer a kernel as large as its stride"
            )


def reason_against_tiles(
    traced: TracedProgram, larger: TracedProgram, layers: tuple[ReceptiveField, ...]
) -> str:
    """The operator that depends on the size of the input or on the position in it, in words; empty for none.

    Args:
        traced: The network at one size.
        larger: At another that is more by multiples of all strides: all must be the same but longer.
        layers: Its fields at the first size.
    """
    strides = {layer.node.name: layer.stride for layer in layers}
    if [node.target for node in traced.calls] != [node.target for node in larger.calls]:
        return "the network does other things to inputs of other sizes"
    one, two = _filled(traced), _filled(larger)
    for (node, arguments), (same, others) in zip(one, two, strict=True):
        label, name = traced.graph[node.name].label, operator_name(node)
        if (
            not _grows_alike(traced, larger, (node.name, same.name), strides[node.name])
            or not _same_constants(arguments, others)
            or ("upsample" not in name and name not in _MEASURED and numbers_of(node) != numbers_of(same))
        ):
            return f'"{label}" ({name}) depends on the size of the input'
        if aligns(node) and any(_varies(value, node, traced) for value in tree_leaves(arguments)):
            return f'"{label}" ({name}) reads a value for every position of the input'
    return ""


def _filled(traced: TracedProgram) -> Iterator[tuple[fx.Node, Any]]:
    """The same operators with their arguments, constants in place of the nodes that make them."""
    arguments = Arguments(traced)
    calls = set(traced.calls)
    for node in traced.program.graph.nodes:
        if node in calls:
            yield node, arguments.of((node.args, node.kwargs))
        arguments.done(node)


def _grows_alike(
    traced: TracedProgram, larger: TracedProgram, names: tuple[str, str], strides: tuple[Any, ...]
) -> bool:
    """Whether an operator reads the same way at both sizes, and its result grows as its stride says."""
    one, two = traced.graph[names[0]], larger.graph[names[1]]
    pixels = zip(traced.graph.nodes[0].size, larger.graph.nodes[0].size, strict=True)
    growth = [(after - before) / stride for (before, after), stride in zip(pixels, strides, strict=True)]
    plain = [
        [atom.size for dim in layout for atom in dim if atom.axis is None]
        for layout in (traced.layouts[names[0]], larger.layouts[names[1]])
    ]
    grown = [after - before for before, after in zip(one.size, two.size, strict=True)]
    return one.axes == two.axes and grown == growth and plain[0] == plain[1]


def _same_constants(one: Any, two: Any) -> bool:
    """Whether tensors that are no part of the input are the same, but for those that grow with it."""
    pairs = zip(tree_leaves(one), tree_leaves(two), strict=True)
    return all(
        a is b or a.data_ptr() == b.data_ptr() or a.shape != b.shape or torch.equal(a, b)
        for a, b in pairs
        if isinstance(a, Tensor) and isinstance(b, Tensor)
    )


def _varies(value: Any, node: fx.Node, traced: TracedProgram) -> bool:
    """Whether a constant holds other values at other positions of an axis."""
    if not isinstance(value, Tensor):
        return False
    layout = traced.layouts[node.name]
    for place in range(-min(value.ndim, len(layout)), 0):
        if axes_of([layout[place]]) and value.shape[place] > 1:
            is_same = (value == value.narrow(place, 0, 1)).all()
            if not bool(is_same):
                return True
    return False
