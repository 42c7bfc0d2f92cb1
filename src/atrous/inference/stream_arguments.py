"""What an operator is called with on a part of the axis: pieces of streamed values, and constants."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_aggregate, map_arg

from atrous.geometry.exported import TracedProgram
from atrous.geometry.program import named_arguments, writes_in_place

Pieces = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Streamed:
    """Stands for the piece of a streamed value."""

    name: str


@dataclass(frozen=True, slots=True)
class Positional:
    """Stands for the part of a constant that lies where the piece does; `unit` entries of `dim` a cell."""

    values: Tensor
    dim: int
    unit: int


def fill(arguments: Any, pieces: Pieces, start: int, stop: int) -> Any:
    """Arguments for the cells from start up to stop."""

    def part(value: Any) -> Any:
        if isinstance(value, Streamed):
            return pieces[value.name]
        if isinstance(value, Positional):
            return value.values.narrow(value.dim, start * value.unit, (stop - start) * value.unit)
        return value

    return map_aggregate(arguments, part)


class Arguments:
    """The arguments of every call of a program, with constants in place of the nodes that make them.

    Walk the calls in the order of the program, and say of each that it is `done`: an operator in place gives
    its operand a new value for the calls after it.
    """

    def __init__(self, traced: TracedProgram) -> None:
        self.traced = traced
        self.nodes = {node.name: node for node in traced.program.graph.nodes}
        self._latest: dict[fx.Node, fx.Node] = {}  # what an operator in place made of a value
        self._constants: dict[fx.Node, Any] = dict(self._weights())

    def done(self, node: fx.Node) -> None:
        """The calls after this one see what it wrote in place."""
        if node.op == "call_function" and writes_in_place(node):
            self._latest[self._current(node.all_input_nodes[0])] = node

    def constants_of(self, node: fx.Node) -> dict[str, Any]:
        """The arguments by name, without those that are streamed."""
        arguments = {name: self.of(value) for name, value in named_arguments(node).items()}
        return {name: value for name, value in arguments.items() if not isinstance(value, Streamed)}

    def of(self, value: Any) -> Any:
        """Arguments with their nodes filled in; streamed values stay names."""
        return map_arg(value, self._filled)

    def _filled(self, node: fx.Node) -> Any:
        node = self._current(node)
        return Streamed(node.name) if node.name in self.traced.layouts else self._constant(node)

    def _current(self, node: fx.Node) -> fx.Node:
        while node in self._latest:
            node = self._latest[node]
        return node

    def _weights(self) -> Iterator[tuple[fx.Node, Any]]:
        program = self.traced.program
        held = {**program.state_dict, **program.constants}
        for spec in program.graph_signature.input_specs:
            name = getattr(spec.arg, "name", None)
            if spec.target is not None and name in self.nodes:
                yield self.nodes[name], held[spec.target]

    def _constant(self, node: fx.Node) -> Any:
        """The value of a node that does not depend on the input's values; on its shape it may."""
        if node not in self._constants:
            args, kwargs = map_arg((node.args, node.kwargs), self._shape_or_constant)
            with torch.no_grad():
                self._constants[node] = node.target(*args, **kwargs)  # type: ignore[operator]
        return self._constants[node]

    def _shape_or_constant(self, node: fx.Node) -> Any:
        if node.name not in self.traced.layouts:
            return self._constant(node)
        like = node.meta["val"]
        return torch.empty(1, dtype=like.dtype, device=like.device).expand(like.shape)
