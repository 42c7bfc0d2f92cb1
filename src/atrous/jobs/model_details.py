"""What the spatial graph of a network says of it: field, coverage, cost, and where neighbors stop mixing."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Details:
    """A network traced and measured.

    Attributes:
        receptive_field: Pixels that a cell sees, per axis, beside what sees everything.
        sees_all: Whether a cell also sees the whole image.
        coverage: Share of the pixels in the receptive field that a cell in the middle depends on.
        gridding: Share of the cells of a map inside that one output reads, of those in their box, where its
            neighbors read the others and no later layer mixes them; 1 where there is none.
        gridded: The map's layer; empty where there is none.
        parameters: Trained values that the traced operators use; an auxiliary head's are not among them.
        multiply_adds: Of the traced image.
    """

    receptive_field: int
    sees_all: bool
    coverage: float
    gridding: float
    gridded: str
    parameters: int
    multiply_adds: int


def details_of(network: Any, example: Any) -> Details:
    """Trace a network on an example (b, c, *spatial) and measure it; shapes are enough.

    Raises:
        GeometryError: If it cannot be traced.
    """
    from atrous.geometry.coverage import coverage
    from atrous.geometry.gridding import find_gridding
    from atrous.geometry.receptive_field import receptive_field
    from atrous.geometry.trace import trace

    graph = trace(network, example)
    field = receptive_field(graph)
    holes = find_gridding(graph)
    return Details(
        receptive_field=field.local[0],
        sees_all=any(field.sees_all),
        coverage=coverage(graph).fraction,
        gridding=1.0 if holes is None else holes.fraction,
        gridded="" if holes is None else holes.node.label,
        parameters=sum(layer.node.num_parameters for layer in field.layers),
        multiply_adds=sum(layer.node.multiply_adds for layer in field.layers),
    )
