"""What a spatial graph says of its network: how far it sees and where neighbors stop mixing."""

from dataclasses import dataclass
from typing import Any

from atrous.geometry.coverage import coverage
from atrous.geometry.gridding import find_gridding
from atrous.geometry.receptive_field import receptive_field
from atrous.geometry.trace import trace


@dataclass(frozen=True, slots=True)
class Details:
    """A network, traced.

    Attributes:
        receptive_field: Pixels that a cell sees, per axis, beside what sees everything.
        sees_all: Whether a cell also sees the whole image.
        coverage: Share of the pixels in the receptive field that a cell in the middle depends on.
        mixing: Of the map nearest to the input that falls apart into grids, the share of the cells in its box
            that one output reads; 1 where neighbors mix everywhere.
        gridded: The layer that makes this map; empty where there is none.
    """

    receptive_field: int
    sees_all: bool
    coverage: float
    mixing: float
    gridded: str


def details_of(network: Any, example: Any) -> Details:
    """Trace a network on an example (b, c, *spatial) and measure it; shapes are enough.

    Raises:
        GeometryError: If it cannot be traced.
    """
    graph = trace(network, example)
    field, holes = receptive_field(graph), find_gridding(graph)
    return Details(
        receptive_field=field.local[0],
        sees_all=any(field.sees_all),
        coverage=coverage(graph).fraction,
        mixing=1.0 if holes is None else holes.fraction,
        gridded="" if holes is None else holes.node.label,
    )
