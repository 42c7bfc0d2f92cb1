"""What an operator can make of an axis whose end is not there yet, and what it needs of its beginning."""

import math

from atrous.errors import GeometryError
from atrous.geometry.axis import Finite, Global, Resample, Transposed, Window, effective_kernel_size
from atrous.geometry.graph import Node, SpatialGraph


def first_input(axis: Finite, output: int) -> int:
    """The first input cell that outputs from this one on read; negative in the padding.

    Raises:
        GeometryError: If the operator runs on interleaved grids.
    """
    match axis:
        case Window():
            return axis.stride * output - axis.padding[0]
        case Transposed():
            span = effective_kernel_size(axis.kernel_size, axis.dilation)
            written = output + axis.padding[0]
            return min((written - span) // axis.stride + 1, written // axis.stride)
        case Resample():
            return math.floor(axis.slope * output + axis.offset) - max(axis.reach - 1, 0)
    raise _interleaved()


def complete_outputs(axis: Finite, available: int) -> int:
    """How many outputs read nothing but input cells before `available`, and cells before the axis' start.

    Raises:
        GeometryError: If the operator runs on interleaved grids.
    """
    match axis:
        case Window():
            span = effective_kernel_size(axis.kernel_size, axis.dilation)
            complete = (available + axis.padding[0] - span) // axis.stride + 1
        case Transposed():
            complete = axis.stride * available - axis.padding[0]
        case Resample():
            complete = math.ceil((available - axis.reach - axis.offset) / axis.slope)
        case _:
            raise _interleaved()
    if axis.beyond == "reflect" and first_input(axis, 0) < 0 and available <= -first_input(axis, 0):
        return 0  # the first output reads the cell that far inside
    return max(complete, 0)


def first_inner_output(graph: SpatialGraph, *, axis: int) -> int:
    """The first output cell of a network that no border before cell 0 of the input has a part in.

    Each operator's own first cells are followed, since what it reads before the start is its border, even
    where an earlier operator has cut off cells.

    Raises:
        GeometryError: If an operator runs on interleaved grids, or sees the whole axis.
    """
    inner: dict[str, int] = {}
    for node in graph:
        least = max((inner[name] for name in node.inputs), default=0)
        inner[node.name] = 0 if not node.inputs else _first_reading_from(node, axis, least)
    return inner[graph.output.name]


def _first_reading_from(node: Node, axis: int, least: int) -> int:
    """The first cell of a node that reads nothing before input cell `least`."""
    way = node.axes[axis]
    if isinstance(way, Global):
        raise GeometryError(f'"{node.label}" sees the whole axis; run the network on the whole input')
    cell = 0
    while first_input(way, cell) < least:
        cell += 1
    return cell


def _interleaved() -> GeometryError:
    return GeometryError(
        "an operator on interleaved grids has no order along the axis; run the network on the whole input"
    )
