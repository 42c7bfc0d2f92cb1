"""Gridding: where in a network neighbors stop mixing, into how many grids, and by which layer."""

import math
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from atrous.geometry.axis import Transposed, Window
from atrous.geometry.graph import Node
from atrous.geometry.reads import Reads
from atrous.geometry.trace import trace
from atrous.geometry.walk import Walk, middle_walk, plan_walk


@dataclass(frozen=True, slots=True)
class Gridding:
    """Cells that one output steps over, while its neighbors read them.

    Attributes:
        output: The layer asked about.
        node: The node nearest to the input whose cells are stepped over; often the input itself.
        culprit: The first layer whose own view of that node has holes that no later layer closes.
        fraction: Cells of the node that one output reads, of those in their box.
        grids: For each axis, into how many grids the node falls apart that never meet again; 1 where all
            meet.
    """

    output: Node
    node: Node
    culprit: Node
    fraction: float
    grids: tuple[int, ...]

    def explain(self) -> str:
        """What happens where, and which layer is responsible, in plain words."""
        what = f'cells of "{self.node.label}"' if self.node.inputs else "input pixels"
        number = math.prod(self.grids)
        apart = f"; they are one of {number} grids that never meet again" if number > 1 else ""
        return (
            f'One output of "{self.output.label}" reads {100 * self.fraction:.1f}% of the {what} inside its '
            f'box{apart}. The holes come from "{self.culprit.label}" ({_describe(self.culprit)}), and no '
            "later layer closes them."
        )


def find_gridding(network: Any, example: Any = None, *, layer: str | None = None) -> Gridding | None:
    """Where one output steps over cells that its neighbors read, nearest to the input; None if nowhere.

    At the input any such hole counts. A dilated ResNet has none there, since its early layers blur, but from
    some layer on several in a row skip the same neighbors, so that adjacent outputs live on grids of their
    own (Wang et al. 2018, "Understanding Convolution for Semantic Segmentation"; Yu et al. 2017, "Dilated
    Residual Networks"). A last layer that is dilated alone is no gridding; neither are cells that no output
    reads, because of a stride.

    >>> find_gridding([1, 2, 9]).culprit.name
    'layer3'

    Args:
        network: A module, a spatial graph, or a sequence of dilations or of `Layer`.
        example: An input (b, c, *spatial), for a module.
        layer: Path of a module, to ask about its output instead of the network's.

    Raises:
        GeometryError: If the network cannot be traced, or has no such layer.
    """
    walk = plan_walk(trace(network, example), layer=layer)
    along = [_views(walk, axis) for axis in range(walk.graph.rank)]
    views = {name: [view[name] for view in along] for name in along[0] if all(name in view for view in along)}
    for node in walk.graph:
        at_input = node == walk.source
        if not any(view.has_holes if at_input else view.grids > 1 for view in views.get(node.name, [])):
            continue
        below = plan_walk(walk.graph, layer=walk.node, source=node)
        culprit, grids = _culprit(below, views), tuple(view.grids for view in views[node.name])
        is_last = all(
            view.read.size == 1 or n == 1 for view, n in zip(views[culprit.name], grids, strict=True)
        )
        if at_input or not is_last:
            read = below.at_source(bool).trimmed()
            assert read is not None  # it has holes, so it has cells
            fraction = math.prod(float(factor.mean()) for factor in read.factors)
            return Gridding(walk.node, node, culprit, fraction, grids)
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """What one output reads of a node along one axis.

    Attributes:
        read: Of each cell from the first to the last that is read.
        has_holes: Whether other outputs read cells between them.
        grids: Into how many grids that never meet again the cells read by any output fall apart.
    """

    read: Bool[np.ndarray, " n"]
    has_holes: bool
    grids: int


def _views(walk: Walk, axis: int) -> dict[str, _View]:
    """The view of every node along one axis, by name; nodes of which nothing is read are left out."""
    one = _boxes(walk, axis)
    near = max((read.shape[0] for read in one.values()), default=0)  # outputs whose boxes overlap, and more
    views = {}
    for name, every in _boxes(walk, axis, around=near).items():
        if name in one:
            read = one[name].array
            has_holes = (every.over(one[name].start, one[name].shape).array & ~read).any()
            grids = max(_distance(read) // max(_distance(every.array), 1), 1)
            views[name] = _View(read, bool(has_holes), grids)
    return views


def _culprit(walk: Walk, views: Container[str]) -> Node:
    """The earliest node that views the source with holes, as do all nodes of a path from it to the output."""
    reached, culprit = {walk.node.name}, walk.node
    for node in reversed(walk.graph.nodes):
        if node.name in reached:
            culprit = node
            inputs = (name for name in walk.routes[node.name].inputs if name in views)
            reached.update(name for name in inputs if _has_holes(walk, name))
    return culprit


def _has_holes(walk: Walk, name: str) -> bool:
    """Whether this node views the source with holes."""
    shorter = middle_walk(walk.graph, source=walk.source, node=walk.graph[name], routes=walk.routes)
    boxes = [_boxes(shorter, axis) for axis in range(walk.graph.rank)]
    return any(walk.source.name in box and not box[walk.source.name].array.all() for box in boxes)


def _boxes(walk: Walk, axis: int, *, around: int = 0) -> dict[str, Reads]:
    """What is read of each node along one axis, by name."""
    reads = {node.name: reads.trimmed() for node, reads in walk.reads(bool, axes=(axis,), around=around)}
    return {name: read for name, read in reads.items() if read is not None}


def _distance(read: np.ndarray) -> int:
    """The common distance of the cells that are read; 0 of a single one."""
    return int(np.gcd.reduce(np.diff(np.flatnonzero(read))))


def _describe(node: Node) -> str:
    """The numbers of a windowed layer, one where all axes agree; else what operator it is."""
    windows = [axis for axis in node.axes if isinstance(axis, Window | Transposed)]
    if len(windows) < len(node.axes) or node.is_pointwise:
        return node.operator
    kernel_size, dilation, stride = (
        " x ".join(map(str, dict.fromkeys(getattr(window, name) for window in windows)))
        for name in ("kernel_size", "dilation", "stride")
    )
    return f"kernel size {kernel_size}, dilation {dilation}, stride {stride}"
