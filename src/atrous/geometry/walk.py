"""The way back from one output cell to all that it reads, node by node, along every path that is finite."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from atrous.errors import GeometryError
from atrous.geometry.axis import Global
from atrous.geometry.graph import Node, SpatialGraph
from atrous.geometry.reads import Reads


@dataclass(frozen=True, slots=True)
class Route:
    """How a node is reached from the source.

    Attributes:
        inputs: Those of its inputs through which finite paths run; where none does, all that come from the
            source.
        lost: For each axis, whether every path lost its place on it to something global.
        sees_all: For each axis, whether some path sees all of it.
    """

    inputs: tuple[str, ...]
    lost: tuple[bool, ...]
    sees_all: tuple[bool, ...]


def routes_from(graph: SpatialGraph, source: Node) -> dict[str, Route]:
    """The route of every node that the source leads to, by name."""
    nowhere = (False,) * graph.rank
    routes = {source.name: Route((), nowhere, nowhere)}
    for node in graph:
        inputs = tuple(name for name in node.inputs if name in routes)
        if node.name in routes or not inputs:
            continue
        followed = tuple(name for name in inputs if not any(routes[name].lost)) or inputs
        is_global = [isinstance(axis, Global) for axis in node.axes]
        loses = [isinstance(axis, Global) and not axis.direct for axis in node.axes]
        routes[node.name] = Route(
            followed,
            lost=_either(loses, *(routes[name].lost for name in followed)),
            sees_all=_either(is_global, *(routes[name].sees_all for name in inputs)),
        )
    return routes


@dataclass(frozen=True, slots=True)
class Walk:
    """All finite paths from a source to one cell of a node.

    Where something global, such as pooling over the whole map, is on every path, it counts as if it read the
    cell at its own place: the cell is then one of the last map before it.

    Attributes:
        graph: The network.
        source: The node whose cells are asked for.
        node: The node that reads them.
        cell: Its cell, one index an axis.
        has_borders: Whether axes end where they do at the traced sizes, or never.
        routes: Of all nodes, from the source.
    """

    graph: SpatialGraph
    source: Node
    node: Node
    cell: tuple[int, ...]
    has_borders: bool
    routes: dict[str, Route]

    def reads(
        self, dtype: type, *, axes: tuple[int, ...] | None = None, around: int = 0
    ) -> Iterator[tuple[Node, Reads]]:
        """Every node on a path, last one first, with what is read of it; the source comes last.

        Args:
            dtype: `bool` for what is read at all, `np.float64` for the number of paths.
            axes: Only these axes.
            around: Start from this many cells more on each side.
        """
        axes = tuple(range(self.graph.rank)) if axes is None else axes
        start = tuple(self.cell[axis] - around for axis in axes)
        wanted = {self.node.name: Reads(start, (np.ones(1 + 2 * around, dtype),) * len(axes))}
        for node in reversed(self.graph.nodes):
            if node.name not in wanted:
                continue
            reads = wanted.pop(node.name)
            yield node, reads
            for name in self.routes[node.name].inputs:
                moved = self._through(reads, node, self.graph[name], axes)
                wanted[name] = wanted[name].join(moved) if name in wanted else moved

    def at_source(self, dtype: type, *, axes: tuple[int, ...] | None = None) -> Reads:
        """What is read of the source."""
        ((_, reads),) = deque(self.reads(dtype, axes=axes), maxlen=1)
        return reads

    def _through(self, reads: Reads, node: Node, given: Node, axes: tuple[int, ...]) -> Reads:
        if node.is_pointwise and (not self.has_borders or node.size == given.size):
            return reads
        lost = self.routes[given.name].lost
        sizes = [None if lost[axis] or not self.has_borders else given.size[axis] for axis in axes]
        return reads.through([node.axes[axis] for axis in axes], sizes)


def middle_walk(graph: SpatialGraph, *, source: Node, node: Node, routes: dict[str, Route]) -> Walk:
    """The way back from the cell in the middle, on axes without ends."""
    cell = tuple(cells // 2 for cells in _size(graph, node, routes))
    return Walk(graph, source, node, cell, has_borders=False, routes=routes)


def plan_walk(
    graph: SpatialGraph,
    *,
    layer: str | Node | None = None,
    source: str | Node | None = None,
    cell: int | tuple[int, ...] | None = None,
) -> Walk:
    """The way back from a cell of `layer` (the output) to `source` (the input).

    Args:
        graph: The network.
        layer: A node, or the path of a module.
        source: A node before it, or the path of a module.
        cell: Inside the borders at the traced sizes; None for the one in the middle of axes without ends.

    Raises:
        GeometryError: If there is no such layer, source or cell, or no path between them.
    """
    last, first = _node(graph, layer, graph.output), _node(graph, source, graph.nodes[0])
    routes = routes_from(graph, first)
    if last.name not in routes:
        raise GeometryError(
            f'"{last.label}" does not depend on "{first.label}"; ask about a source before it'
        )
    if cell is None:
        return middle_walk(graph, source=first, node=last, routes=routes)
    if not all(node.size for node in graph):
        raise GeometryError("a list of layers has no borders, so no cell is near one; leave out the cell")
    cells = cell if isinstance(cell, tuple) else (cell,) * graph.rank
    size = _size(graph, last, routes)
    if len(cells) != graph.rank or not all(0 <= at < end for at, end in zip(cells, size, strict=True)):
        shown = " x ".join(map(str, size))
        raise GeometryError(f'"{last.label}" has {shown} cells; {cell} is none of them, counted from 0')
    return Walk(graph, first, last, cells, has_borders=True, routes=routes)


def _node(graph: SpatialGraph, asked: str | Node | None, default: Node) -> Node:
    if asked is None:
        return default
    return asked if isinstance(asked, Node) else graph.find(asked)


def _size(graph: SpatialGraph, node: Node, routes: dict[str, Route]) -> tuple[int, ...]:
    """Cells along each axis, on axes that are lost those of the last node that had them; 0 where unknown."""
    size = []
    for axis in range(graph.rank):
        holder = node
        while routes[holder.name].lost[axis]:
            holder = graph[routes[holder.name].inputs[0]]
        size.append(holder.size[axis] if holder.size else 0)
    return tuple(size)


def _either(*flags: list[bool] | tuple[bool, ...]) -> tuple[bool, ...]:
    return tuple(any(axis) for axis in zip(*flags, strict=True))
