"""Coverage: which inputs of its receptive field one output really sees, and along how many paths."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from atrous.errors import GeometryError
from atrous.geometry.graph import Node
from atrous.geometry.reads import Reads
from atrous.geometry.trace import trace
from atrous.geometry.walk import Walk, plan_walk

_RESULT, _WORK = 9, 32  # bytes a cell: a bool and a float64; four arrays of float64 while branches are added
_GIB = 2**30


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """What one output cell sees of its receptive field.

    Where a path sees everything, as through squeeze-and-excitation, the others are reported; where all do, as
    behind a global pooling, `cell` is one of the last map before it.

    Attributes:
        node: Whose cell it is.
        source: Whose cells are seen, as a rule the network's input.
        cell: Index along each axis.
        start: Position of `seen[0, ...]` along each axis, in input px (cells of the source); can be negative.
        seen: Whether the cell depends on each position of the smallest box that holds them all; exact.
        density: Share of all paths that start at each position (float64, sums to 1); each tap of a kernel and
            each neighbor of an interpolation is one path, whatever its weight.
        sees_all: For each axis, whether some path sees all of it.
    """

    node: Node
    source: Node
    cell: tuple[int, ...]
    start: tuple[int, ...]
    seen: Bool[np.ndarray, "..."]
    density: Float[np.ndarray, "..."]
    sees_all: tuple[bool, ...]

    @property
    def fraction(self) -> float:
        """Positions seen, of all in the box."""
        return float(self.seen.mean())

    @property
    def holes(self) -> Int[np.ndarray, "n rank"]:
        """Positions of the box that are not seen."""
        return np.argwhere(~self.seen) + np.array(self.start)

    def axis(self, number: int) -> "Coverage":
        """The same along one axis: what is seen anywhere on the others, and the density summed over them."""
        others = tuple(other for other in range(self.seen.ndim) if other != number)
        return Coverage(
            self.node,
            self.source,
            cell=(self.cell[number],),
            start=(self.start[number],),
            seen=np.asarray(self.seen.any(axis=others)),
            density=np.asarray(self.density.sum(axis=others)),
            sees_all=(self.sees_all[number],),
        )


def coverage(
    network: Any,
    example: Any = None,
    *,
    layer: str | None = None,
    source: str | None = None,
    cell: int | tuple[int, ...] | None = None,
    max_memory: float = 2.0,
) -> Coverage:
    """Which inputs one output cell sees, exactly, and along how many paths.

    The set is followed back through the network operator by operator, so it is neither sampled nor does it
    depend on weights.

    >>> coverage([2, 4, 8]).fraction == 15 / 29  # every second input: gridding
    True

    Args:
        network: A module, a spatial graph, or a sequence of dilations or of `Layer`.
        example: An input (b, c, *spatial), for a module.
        layer: Path of a module, to ask about its output instead of the network's.
        source: Path of a module, to ask which cells of its output are seen instead of the input's.
        cell: A cell of the layer, one index an axis or one for all, inside the real borders at the example's
            size; without one, the cell in the middle, as if no axis had an end.
        max_memory: GiB that may be used.

    Raises:
        GeometryError: If the network cannot be traced, has no such layer, source or cell, the cell sees
            nothing, or more memory is needed.
    """
    walk = plan_walk(trace(network, example), layer=layer, source=source, cell=cell)
    _check_memory(walk, max_memory)
    read = walk.at_source(bool).trimmed()
    if read is None:
        raise GeometryError(
            f'cell {walk.cell} of "{walk.node.label}" reads nothing of "{walk.source.label}", only zeros; '
            "ask about another cell"
        )
    counts = walk.at_source(np.float64).over(read.start, read.shape)
    shares = Reads(read.start, tuple(factor / factor.sum() for factor in counts.factors))
    sees_all = walk.routes[walk.node.name].sees_all
    return Coverage(walk.node, walk.source, walk.cell, read.start, read.array, shares.array, sees_all)


def _check_memory(walk: Walk, max_memory: float) -> None:
    """Refuse what does not fit, from the boxes along each axis alone."""
    rank = walk.graph.rank
    boxes = [
        {node.name: reads.shape[0] for node, reads in walk.reads(bool, axes=(axis,))} for axis in range(rank)
    ]
    cells = {name: math.prod(box[name] for box in boxes) for name in boxes[0]}
    has_branches = sum(len(walk.routes[name].inputs) for name in cells) >= len(cells)
    gib = (cells[walk.source.name] * _RESULT + has_branches * max(cells.values()) * _WORK) / _GIB
    if gib > max_memory:
        field = " x ".join(str(box[walk.source.name]) for box in boxes)
        raise GeometryError(
            f'the {field} px that a cell of "{walk.node.label}" reaches take {gib:.1f} GiB, more than '
            f"max_memory={max_memory:g}; raise it, or ask about a layer nearer to the input"
        )
