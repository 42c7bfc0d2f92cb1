"""Receptive fields at every node of a spatial graph, in the pixels of the input."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from atrous.errors import GeometryError
from atrous.geometry.axis import POINTWISE, Global
from atrous.geometry.axis_field import AxisField
from atrous.geometry.graph import Node, SpatialGraph
from atrous.geometry.trace import trace


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """What the cells of one node reach; one entry an axis, in input pixels.

    Where a path goes through something global, such as squeeze-and-excitation or pooling over the whole map,
    the size is infinite; stride, center and `local` are those of the paths without it, or, where every path
    goes through it, of the last map before it.

    Attributes:
        node: The operator.
        axes: The finite field along each axis.
        sees_all: Whether a path sees the whole axis.
        misalignment: Pixels between the centers of the branches that meet here, the most of any axis.
        layers: The fields of all nodes of the network, in running order.
    """

    node: Node
    axes: tuple[AxisField, ...]
    sees_all: tuple[bool, ...]
    misalignment: float = 0.0
    layers: tuple["ReceptiveField", ...] = ()

    @property
    def size(self) -> tuple[float, ...]:
        """Pixels from the first to the last that a cell reaches, infinite where it sees all."""
        return tuple(
            math.inf if everything else axis.size
            for axis, everything in zip(self.axes, self.sees_all, strict=True)
        )

    @property
    def local(self) -> tuple[int, ...]:
        """The size of the paths that do not see everything."""
        return tuple(axis.size for axis in self.axes)

    @property
    def stride(self) -> tuple[int | Fraction, ...]:
        """Pixels from one cell to the next."""
        return tuple(_plain(axis.stride) for axis in self.axes)

    @property
    def start(self) -> tuple[float, ...]:
        """First pixel that cell 0 reaches, negative in the padding."""
        return tuple(
            -math.inf if everything or (box := axis.box(0)) is None else box[0]
            for axis, everything in zip(self.axes, self.sees_all, strict=True)
        )

    @property
    def center(self) -> tuple[float, ...]:
        """Pixel that cell 0 is centered on; cell r is centered on `center + r * stride`."""
        return tuple(float(axis.center) for axis in self.axes)

    def box(self, cell: int | tuple[int, ...]) -> tuple[tuple[float, float], ...]:
        """First and last pixel that a cell reaches along each axis, as if the image had no borders.

        Args:
            cell: Its index, one number an axis, or one for all.

        Raises:
            GeometryError: If it has another number of axes.
        """
        cells = cell if isinstance(cell, tuple) else (cell,) * len(self.axes)
        if len(cells) != len(self.axes):
            raise GeometryError(f"cell {cell} has {len(cells)} indices for {len(self.axes)} spatial axes")
        return tuple(
            (-math.inf, math.inf) if everything else axis.box(index) or (math.nan, math.nan)
            for index, axis, everything in zip(cells, self.axes, self.sees_all, strict=True)
        )


def receptive_field(network: Any, example: Any = None, *, layer: str | None = None) -> ReceptiveField:
    """How far each output of a network sees, at what stride, centered where.

    Every operator is followed along every axis, through branches, dilation, padding and resampling; the field
    is exact for each cell (a list of first and last inputs, not a bound), apart from borders.

    Args:
        network: A module, a spatial graph, or a sequence of dilations or of `Layer`.
        example: An input (b, c, *spatial), for a module.
        layer: Path of a module, to ask about its output instead of the network's.

    Raises:
        GeometryError: If the network cannot be traced, or has no such layer.
    """
    graph = trace(network, example)
    wanted = graph.output if layer is None else graph.find(layer)
    fields = {field.node.name: field for field in _propagate(graph)}
    found = fields[wanted.name]
    return ReceptiveField(found.node, found.axes, found.sees_all, found.misalignment, tuple(fields.values()))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a node reaches along one axis; `only_global` where every path sees the whole axis."""

    field: AxisField
    sees_all: bool
    only_global: bool


def _propagate(graph: SpatialGraph) -> Iterator[ReceptiveField]:
    """The field of every node from those of its inputs, in running order."""
    seen: dict[str, tuple[_Seen, ...]] = {}
    for node in graph:
        inputs = [seen[name] for name in node.inputs]
        if inputs:
            met = [_meet([axes[axis] for axes in inputs]) for axis in range(graph.rank)]
        else:
            met = [(_Seen(AxisField(), sees_all=False, only_global=False), Fraction(0))] * graph.rank
        axes = tuple(_apply(before, axis) for (before, _), axis in zip(met, node.axes, strict=True))
        seen[node.name] = axes
        yield ReceptiveField(
            node,
            axes=tuple(axis.field for axis in axes),
            sees_all=tuple(axis.sees_all for axis in axes),
            misalignment=float(max((apart for _, apart in met), default=0)),
        )


def _meet(branches: list[_Seen]) -> tuple[_Seen, Fraction]:
    """Branches joined, and how far apart their centers are; finite ones count where there are any."""
    only_global = all(branch.only_global for branch in branches)
    fields = list(dict.fromkeys(b.field for b in branches if only_global or not b.only_global))
    joined = fields[0]
    for field in fields[1:]:
        joined = joined.union(field)
    sees_all = any(branch.sees_all for branch in branches)
    centers = [Fraction(0)] if only_global else [field.center for field in fields]
    return _Seen(joined, sees_all, only_global), max(centers) - min(centers)


def _apply(before: _Seen, axis: Any) -> _Seen:
    if isinstance(axis, Global):
        return _Seen(before.field, sees_all=True, only_global=before.only_global or not axis.direct)
    if axis == POINTWISE:
        return before
    return _Seen(before.field.through(axis), before.sees_all, before.only_global)


def _plain(number: Fraction) -> int | Fraction:
    return int(number) if number.denominator == 1 else number
