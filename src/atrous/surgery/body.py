"""What becomes of every module between the input and the last map, or why it cannot become dense."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from atrous.errors import SurgeryError
from atrous.geometry.axis import Global, Window
from atrous.geometry.graph import Node
from atrous.surgery.changes import Edit
from atrous.surgery.layers import Called, edit_of, is_layer
from atrous.surgery.owners import Owner, find_owner
from atrous.surgery.spread import Maps, Spread, is_within

Pools = Literal["keep", "drop"]
Pair = tuple[int, int]
_SHOWN = 8  # reasons in one error


def plan_body(
    maps: Maps, network: nn.Module, spreads: dict[str, Spread], *, pools: Pools
) -> tuple[tuple[Edit, ...], tuple[str, ...]]:
    """The edits of all modules, and notes on those that run in phases.

    Raises:
        SurgeryError: If any cannot become dense; the error has all reasons.
    """
    planner = _Planner(maps, network, spreads, pools)
    found = {path: planner.treat(path, nodes) for path, nodes in _calls(maps).items()}
    owners = {result.path: result for result in found.values() if isinstance(result, Owner)}
    reasons = [reason for result in found.values() if isinstance(result, list) for reason in result]
    reasons += [
        f"{node.label} joins maps that become differently dense {node.line}"
        for node in planner.torn()
        if not _lies_in(node.module, owners)
    ]
    if reasons:
        shown = list(dict.fromkeys(reasons))
        more = f"; and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
        raise SurgeryError(f"{type(network).__name__} cannot be dilated: {'; '.join(shown[:_SHOWN])}{more}")
    edits = [
        result for path, result in found.items() if isinstance(result, Edit) and not _lies_in(path, owners)
    ]
    running = [
        owner
        for path, owner in owners.items()
        if not owner.is_untouched and not _lies_in(path, owners.keys() - {path})
    ]
    return (*edits, *(owner.edit for owner in running)), tuple(
        owner.note for owner in running if owner.averages
    )


def _calls(maps: Maps) -> dict[str, list[Node]]:
    """The operators that read along an axis of a map, by the module that calls them, in running order."""
    calls: dict[str, list[Node]] = {}
    for node in maps.graph:
        if not node.is_pointwise and maps.maps_read(node):
            calls.setdefault(node.module, []).append(node)
    return calls


def _lies_in(path: str, others: Iterable[str]) -> bool:
    return any(is_within(path, other) for other in others)


@dataclass(frozen=True, slots=True)
class _Planner:
    maps: Maps
    network: nn.Module
    spreads: dict[str, Spread]
    pools: Pools

    def treat(self, path: str, nodes: list[Node]) -> Edit | Owner | list[str] | None:
        """What becomes of a module; strings are reasons why it cannot become dense."""
        touched = [node for node in nodes if set(self.spread(node)) != {(1, 1)}]
        if not touched:
            return None
        module = self.network.get_submodule(path)
        if is_layer(module):
            windows = [node for node in nodes if "pad" not in node.operator] or nodes
            spreads = {self.spread(node) for node in windows}
            if len(spreads) > 1:
                return [f"{path} is called at places that become differently dense; make it several modules"]
            edit = edit_of(Called(path, module, tuple(nodes), spreads.pop()), pools=self.pools)
            if edit is not None:
                return edit
        owner = find_owner(self.maps, self.spreads, path)
        return owner or [self._reason(node) for node in touched]

    def torn(self) -> list[Node]:
        """Operators whose inputs become differently dense."""
        return [
            node
            for node in self.maps.graph
            if len({self.spreads.get(source.name) for source in self.maps.maps_read(node)}) > 1
        ]

    def spread(self, node: Node) -> tuple[Pair, ...]:
        """Before and after an operator, one pair an axis; empty where a map lies at no whole stride."""
        before = self.spreads.get(self.maps.maps_read(node)[0].name, ())
        after = before if node.name in self.maps.pooled else self.spreads.get(node.name, ())
        return tuple(zip(before, after, strict=False))

    def _reason(self, node: Node) -> str:
        where = f"{node.module or 'the network'}, {type(self.network.get_submodule(node.module)).__name__},"
        strides = [axis.stride for axis in node.axes if isinstance(axis, Window)]
        if any(after > before for before, after in self.spread(node)):
            return (
                f"{where} calls {node.operator} with stride {max(strides)} in its forward {node.line}: only "
                "the stride of an nn.Conv, nn.MaxPool or nn.AvgPool module can be taken out"
            )
        does = (
            "sees the whole map" if any(isinstance(a, Global) for a in node.axes) else "reads along the map"
        )
        return (
            f"{where} {does} by {node.operator} {node.line}, and no module round it takes and returns maps "
            "of one stride; make that a module"
        )
