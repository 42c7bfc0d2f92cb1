"""Whether a network does something that depends on the whole size of its input, such as resizing to it."""

import torch
from torch import Tensor, fx, nn

from atrous.errors import GeometryError
from atrous.geometry.axis import POINTWISE
from atrous.geometry.exported import TracedProgram, trace_program
from atrous.geometry.program import named_arguments, numbers_of, operator_name

_FOLLOW_THE_SIZE = frozenset({"view", "reshape", "unflatten", "expand", "broadcast_to", "_unsafe_view"})
_STEPS = (
    37,
    None,
)  # cells more than the example has: an odd number, or, where that does not fit, as many again


def reason_for_whole_size(network: nn.Module, traced: TracedProgram, example: Tensor, *, dim: int) -> str:
    """The operator that depends on the input's size along dimension `dim`, in words; empty for none.

    It is found by tracing another size: what was computed from the size differs.

    Args:
        network: Any module.
        traced: Its program on the example.
        example: An input (b, c, *spatial).
        dim: One of the spatial dimensions.
    """
    for node in traced.calls:
        if reason := _by_itself(node, traced, dim):
            return reason
    other = _trace_another_size(network, example, dim)
    if other is None:
        return "the network takes no other size along the axis than its example"
    one, two = traced.calls, other.calls
    if [node.target for node in one] != [node.target for node in two]:
        return "the network does other things to inputs of other sizes"
    for node, same in zip(one, two, strict=True):
        if operator_name(node) not in _FOLLOW_THE_SIZE and numbers_of(node) != numbers_of(same):
            return f'"{_label(node, traced)}" ({operator_name(node)}) depends on the size of the input'
    return ""


def _by_itself(node: fx.Node, traced: TracedProgram, dim: int) -> str:
    """Why one call depends on the size, whatever it was called with elsewhere."""
    name = operator_name(node)
    if "upsample" in name and traced.graph[node.name].axes[dim - 2] != POINTWISE:
        arguments = named_arguments(node)
        if arguments.get("align_corners"):
            return f'"{_label(node, traced)}" aligns corners, and so depends on the size of the input'
        if arguments.get("output_size") is not None:
            return f'"{_label(node, traced)}" resizes to a size, and so depends on that of the input'
    if name == "slice" and (named_arguments(node)["start"] or 0) < 0:
        return f'"{_label(node, traced)}" counts from the end of the input'
    return ""


def _trace_another_size(network: nn.Module, example: Tensor, dim: int) -> TracedProgram | None:
    for step in _STEPS:
        shape = list(example.shape)
        shape[dim] += step or shape[dim]
        try:
            return trace_program(network, torch.empty(shape, dtype=example.dtype, device=example.device))
        except GeometryError:  # a network may take multiples of its stride only
            continue
    return None


def _label(node: fx.Node, traced: TracedProgram) -> str:
    return traced.graph[node.name].label
