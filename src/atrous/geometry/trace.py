"""A spatial graph of whatever has one: a network, a planned stack of layers, a graph already made."""

from collections.abc import Sequence
from typing import Any

from atrous.errors import GeometryError
from atrous.geometry.graph import SpatialGraph, graph_of_layers


def trace(network: Any, example: Any = None) -> SpatialGraph:
    """The spatial graph of a network: its operators, and what each reads along every axis.

    A module is exported (`torch.export`, not strict) on the example, without running it and without changing
    it, as it is in evaluation mode.

    Args:
        network: A module; or a sequence of dilations or of `Layer`, a stack that is only planned; or a graph.
        example: A tensor (b, c, *spatial), for a module; only its size and type count.

    Raises:
        GeometryError: If the module cannot be exported, has an operator whose geometry is unknown, or the
            example has no spatial axis or is too small for one output cell.
    """
    if isinstance(network, SpatialGraph):
        return network
    if isinstance(network, Sequence) and not isinstance(network, str):
        return graph_of_layers(network)
    if isinstance(network, str) or not hasattr(network, "named_modules"):
        raise GeometryError(f"{network!r} is no network; give a module, dilations or layers")
    if example is None:
        raise GeometryError(
            "a module is traced on an example; give a tensor such as torch.zeros(1, 3, 224, 224)"
        )
    from atrous.geometry.exported import trace_module

    return trace_module(network, example)
