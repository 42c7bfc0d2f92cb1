"""How much denser every map of a network becomes when it is asked for another output stride."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from atrous.errors import SurgeryError
from atrous.geometry.axis import AxisMap, Global, Window
from atrous.geometry.graph import Node, SpatialGraph
from atrous.geometry.receptive_field import ReceptiveField, receptive_field

Spread = tuple[int, ...]  # dense cells from one original cell to the next, one number an axis


@dataclass(frozen=True)
class Maps:
    """The maps of a traced network: where they still have places, who reads them, at what stride they lie.

    Attributes:
        graph: The network; nodes that no output needs are left out.
    """

    graph: SpatialGraph

    @cached_property
    def fields(self) -> dict[str, ReceptiveField]:
        """The receptive field of every node."""
        return {field.node.name: field for field in receptive_field(self.graph).layers}

    @cached_property
    def position(self) -> dict[str, int]:
        """The place of every node in running order."""
        return {node.name: place for place, node in enumerate(self.graph)}

    @cached_property
    def users(self) -> dict[str, list[Node]]:
        """Who reads each node."""
        users: dict[str, list[Node]] = {node.name: [] for node in self.graph}
        for node in self.graph:
            for name in node.inputs:
                users[name].append(node)
        return users

    @cached_property
    def strides(self) -> dict[str, tuple[Fraction, ...]]:
        """Input cells from one cell of a node to the next, along each axis.

        Where maps meet that are resized to one size, their strides may differ in name; the simplest counts.
        """
        strides: dict[str, tuple[Fraction, ...]] = {}
        for node in self.graph:
            given = [strides[source.name] for source in self.maps_read(node)]
            given = given or [strides[name] for name in node.inputs] or [(Fraction(1),) * self.graph.rank]
            strides[node.name] = tuple(
                min(steps, key=lambda step: (step.denominator, step)) * _slope(axis)
                for axis, steps in zip(node.axes, zip(*given, strict=True), strict=True)
            )
        return strides

    @cached_property
    def pooled(self) -> frozenset[str]:
        """Nodes without places: every way to them goes through a pool over the whole map, or its like."""
        pooled: set[str] = set()
        for node in self.graph:
            is_reduced = any(isinstance(axis, Global) and not axis.direct for axis in node.axes)
            if not node.is_map or is_reduced or (node.inputs and pooled.issuperset(node.inputs)):
                pooled.add(node.name)
        return frozenset(pooled)

    def maps_read(self, node: Node) -> list[Node]:
        """The inputs of a node that have places."""
        return [self.graph[name] for name in node.inputs if name not in self.pooled]

    def within(self, path: str) -> list[Node]:
        """The operators of a module and of all modules in it."""
        return [node for node in self.graph if is_within(node.module, path)]


def is_within(module: str, path: str) -> bool:
    """Whether a module path lies in another, or is it."""
    return not path or module == path or module.startswith(f"{path}.")


def plan_spreads(maps: Maps, output_stride: int, *, name: str) -> dict[str, Spread]:
    """The spread of every map, for an output stride in input cells; the stride of no map exceeds it.

    Maps that lie at no whole stride, as between a pool and a resizing to any size, have none.

    Raises:
        SurgeryError: If the last map cannot lie at that stride; it lists the strides at which it can.
    """
    if isinstance(output_stride, int) and _is_possible(maps, output_stride):
        spreads = {
            node.name: [_spread(stride, output_stride) for stride in maps.strides[node.name]]
            for node in maps.graph
            if node.name not in maps.pooled
        }
        return {
            name: tuple(step.numerator for step in axes)
            for name, axes in spreads.items()
            if all(step.denominator == 1 for step in axes)
        }
    strides = _whole_strides(maps)
    possible = [stride for stride in range(1, max(strides) + 1) if _is_possible(maps, stride)]
    raise SurgeryError(
        f"output stride {output_stride} is impossible for {name}, whose maps lie at strides "
        f"{', '.join(map(str, strides))}; give one of {', '.join(map(str, possible))}"
    )


def _is_possible(maps: Maps, target: int) -> bool:
    """Whether all whole strides above the target are multiples of it, and all layers keep a whole stride."""
    strides = _whole_strides(maps)
    return (
        1 <= target <= max(strides)
        and all(stride <= target or stride % target == 0 for stride in strides)
        and all(left.denominator == 1 for left in _strides_left(maps, target))
    )


def _whole_strides(maps: Maps) -> list[int]:
    return sorted(
        {
            stride.numerator
            for name, axes in maps.strides.items()
            for stride in axes
            if name not in maps.pooled and stride.denominator == 1
        }
    )


def _strides_left(maps: Maps, target: int) -> Iterator[Fraction]:
    """What is left of every layer's stride."""
    for node in maps.graph:
        for source in maps.maps_read(node) if node.name not in maps.pooled else []:
            steps = zip(node.axes, maps.strides[source.name], maps.strides[node.name], strict=True)
            for axis, before, after in steps:
                if isinstance(axis, Window) and before.denominator == after.denominator == 1:
                    yield axis.slope * _spread(before, target) / _spread(after, target)


def _spread(stride: Fraction, target: int) -> Fraction:
    return max(stride / target, Fraction(1))


def _slope(axis: AxisMap) -> Fraction:
    return Fraction(1) if isinstance(axis, Global) else axis.slope
