"""The spatial graph of a module: `torch.export`, then one walk over the exported operators."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from atrous.errors import GeometryError
from atrous.geometry.axis import POINTWISE, AxisMap, Global, on_grids
from atrous.geometry.graph import Node, SpatialGraph
from atrous.geometry.layout import Layout, axes_of, image_layout
from atrous.geometry.mixing import pointwise
from atrous.geometry.operators import Call, Effect, Rule
from atrous.geometry.program import export_program, named_arguments, operator_name, writes_in_place
from atrous.geometry.source import line_of, module_of
from atrous.geometry.vocabulary import CONSTANT, RULES


@dataclass(frozen=True, slots=True)
class TracedProgram:
    """A module's operators as they can be run, beside their geometry.

    Attributes:
        program: From `torch.export`; a node of it has the name of its node in the graph.
        graph: The spatial graph.
        layouts: Which dimensions hold which axes, by name, of all values that come from the input.
    """

    program: torch.export.ExportedProgram
    graph: SpatialGraph
    layouts: dict[str, Layout]

    @property
    def calls(self) -> list[fx.Node]:
        """The operators on values that come from the input, in running order."""
        nodes = self.program.graph.nodes
        return [node for node in nodes if node.op == "call_function" and node.name in self.layouts]


def trace_module(network: nn.Module, example: Tensor) -> SpatialGraph:
    """The spatial graph of a module in evaluation mode; see `atrous.trace`."""
    return trace_program(network, example).graph


def trace_program(network: nn.Module, example: Tensor) -> TracedProgram:
    """The operators of a module in evaluation mode; arguments and errors are those of `atrous.trace`."""
    if not isinstance(example, Tensor):
        raise GeometryError(f"an example is a tensor (b, c, *spatial), not a {type(example).__name__}")
    if example.ndim < 3 or example.ndim > 5:
        raise GeometryError(
            f"an example of shape {tuple(example.shape)} has no 1, 2 or 3 spatial axes; give (b, c, *spatial)"
        )
    program = export_program(network, example)
    walk = _Walk(program.graph, rank=example.ndim - 2)
    return TracedProgram(program, walk.graph(), {node.name: layout for node, layout in walk.layouts.items()})


class _Walk:
    """One pass over an exported program, operator by operator."""

    def __init__(self, graph: fx.Graph, *, rank: int) -> None:
        self.program = graph
        self.rank = rank
        self.nodes: list[Node] = []
        self.layouts: dict[fx.Node, Layout] = {}  # of all that comes from the input
        self.current: dict[fx.Node, fx.Node] = {}  # what an operator in place made of a value
        self.phases: dict[fx.Node, tuple[int, ...]] = {}  # grids that a value is split into, along each axis
        self.weights: dict[fx.Node, frozenset[fx.Node]] = {}  # parameters that other values come from
        self.counted: set[fx.Node] = set()  # parameters that an operator has read

    def graph(self) -> SpatialGraph:
        """The spatial graph.

        Raises:
            GeometryError: If an operator's geometry is unknown, or nothing comes from the input.
        """
        for node in self.program.nodes:
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op == "call_function":
                self._call(node)
        (output,) = [node for node in self.program.nodes if node.op == "output"]
        results = [self._latest(node) for node in output.all_input_nodes]
        names = tuple(node.name for node in results if node in self.layouts)
        if not names:
            raise GeometryError(
                "no output of the network depends on its input; give the network's real input"
            )
        return SpatialGraph(tuple(self.nodes), outputs=names)

    def _placeholder(self, node: fx.Node) -> None:
        """The input, or a parameter, buffer or constant."""
        if node.name.startswith(("p_", "b_", "c_", "obj_", "token")):
            self.weights[node] = frozenset([node]) if node.name.startswith("p_") else frozenset()
            return
        shape = tuple(node.meta["val"].shape)
        self.layouts[node] = image_layout(shape, self.rank)
        axes = (POINTWISE,) * self.rank
        self.nodes.append(Node(node.name, "input", "", (), axes, size=shape[-self.rank :], shape=shape))

    def _call(self, node: fx.Node) -> None:
        name = operator_name(node)
        inputs = [self._latest(given) for given in node.all_input_nodes]
        tracked = list(dict.fromkeys(given for given in inputs if given in self.layouts))
        weights = frozenset().union(*(self.weights.get(given, frozenset()) for given in inputs))
        if not tracked or name in CONSTANT:
            self.weights[node] = weights
            return
        if not isinstance(node.meta.get("val"), Tensor | tuple | list):
            return
        effect = self._effect(node, name)
        self.layouts[node] = effect.layout
        self.phases[node] = self._grids(node, name, tracked)
        self._append(node, name, tracked, effect, weights)
        if writes_in_place(node):
            self._written(node, inputs[0])

    def _effect(self, node: fx.Node, name: str) -> Effect:
        if name == "getitem":
            return self._piece(node)
        rule = _rule(node, name)
        if rule is None:
            raise GeometryError(
                f'operator "{name}" has no known geometry {line_of(node)}; express it by convolutions, '
                "pools, pads, resampling or elementwise operators"
            )
        return rule(self._as_call(node, name))

    def _as_call(self, node: fx.Node, name: str) -> Call:
        arguments = named_arguments(node)
        layouts: dict[str, list[Layout]] = {}
        sizes: dict[str, list[tuple[int, ...]]] = {}
        for argument, value in arguments.items():
            tensors = [self._latest(v) for v in _flat(value) if isinstance(v, fx.Node)]
            if tensors:
                sizes[argument] = [tuple(v.meta["val"].shape) for v in tensors]
            if tracked := [self.layouts[v] for v in tensors if v in self.layouts]:
                layouts[argument] = tracked
        return Call(name, arguments, layouts, _shapes(node), sizes, self.rank)

    def _piece(self, node: fx.Node) -> Effect:
        """One of several results: the layout that all have, at this one's size."""
        source, shape = node.args[0], _shapes(node)[0]
        assert isinstance(source, fx.Node)
        layout = self.layouts[source]
        if len(layout) != len(shape):
            return Effect(image_layout(shape, 0), {})
        fitted = tuple(
            dim if axes_of([dim]) else image_layout((size,), 0)[0]
            for dim, size in zip(layout, shape, strict=True)
        )
        return Effect(fitted, {})

    def _grids(self, node: fx.Node, name: str, inputs: list[fx.Node]) -> tuple[int, ...]:
        """How many interleaved grids a value holds along each axis."""
        if name == "to_phases":
            return tuple(node.args[2])  # type: ignore[arg-type]
        whole = (1,) * self.rank
        if name == "from_phases":
            return whole
        return max((self.phases.get(given, whole) for given in inputs), default=whole)

    def _append(
        self, node: fx.Node, name: str, inputs: list[fx.Node], effect: Effect, weights: frozenset[fx.Node]
    ) -> None:
        alive = axes_of(effect.layout)
        sizes = {atom.axis: atom.size for dim in effect.layout for atom in dim if atom.axis is not None}
        grids = self.phases[node]
        axes: list[AxisMap] = [
            along if isinstance(along, Global) else on_grids(along, phases)
            for along, phases in ((effect.axes.get(axis, POINTWISE), n) for axis, n in enumerate(grids))
        ]
        self.nodes.append(
            Node(
                name=node.name,
                operator=name,
                module=module_of(node),
                inputs=tuple(given.name for given in inputs),
                axes=tuple(axes),
                size=tuple(sizes.get(axis, 1) * phases for axis, phases in enumerate(grids)),
                shape=_shapes(node)[0],
                is_map=bool(alive),
                line=line_of(node),
                num_parameters=sum(weight.meta["val"].numel() for weight in weights - self.counted),
                multiply_adds=_multiply_adds(node, name),
            )
        )
        self.counted |= weights

    def _written(self, node: fx.Node, base: fx.Node) -> None:
        """After an operator in place, its operand's name means its result."""
        self.current[base] = node
        while base.op == "call_function" and operator_name(base) in ("slice", "select"):
            view, base = base, self._latest(base.all_input_nodes[0])
            place = view.args[1] if len(view.args) > 1 else 0
            layout = self.layouts.get(base) or self.layouts[node]
            if not isinstance(place, int) or axes_of([layout[place % len(layout)]]):
                raise GeometryError(
                    f"writing into a part of a spatial axis has no known geometry {line_of(node)}; pad or "
                    "concatenate instead"
                )
            self.layouts[base] = layout
            self.current[base] = node

    def _latest(self, node: fx.Node) -> fx.Node:
        while node in self.current and self.current[node] is not node:
            node = self.current[node]
        return node


def _rule(node: fx.Node, name: str) -> Rule | None:
    is_elementwise = torch.Tag.pointwise in getattr(node.target, "tags", ())
    return pointwise if is_elementwise else RULES.get(name)


def _shapes(node: fx.Node) -> tuple[tuple[int, ...], ...]:
    value = node.meta["val"]
    tensors = value if isinstance(value, tuple | list) else [value]
    return tuple(tuple(v.shape) for v in tensors if isinstance(v, Tensor))


def _flat(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _multiply_adds(node: fx.Node, name: str) -> int:
    """Of one input: products in convolutions and linear layers."""
    if name not in ("linear", "matmul", "bmm") and "conv" not in name:
        return 0
    sizes = [tuple(given.meta["val"].shape) for given in node.all_input_nodes]
    result = _shapes(node)[0]
    if "conv" in name:
        weight = sizes[1]
        cells = sizes[0] if "transpose" in name else result
        return math.prod(weight[1:]) * math.prod(cells[1:])
    return math.prod(result[1:]) * sizes[0][-1]
