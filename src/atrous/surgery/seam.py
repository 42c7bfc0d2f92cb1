"""Where a classifier's head begins: the last map, and a place where hooks can take hold of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from atrous.errors import SurgeryError
from atrous.geometry.axis import Global, Window
from atrous.geometry.graph import Node
from atrous.surgery.spread import Maps, is_within


@dataclass(frozen=True, slots=True)
class Seam:
    """The last map of a network, and who is called with it.

    Attributes:
        features: The node of the map.
        where: `before` a module that takes it, `after` a module that returns it, or at a function `call`
            in the forward of a module.
        path: Of that module.
        operator: The function's name, for a call.
        number: How many calls of that name the module's forward makes before.
    """

    features: Node
    where: str
    path: str
    operator: str = ""
    number: int = 0


def find_seam(maps: Maps, network: nn.Module, *, pools_are_head: bool) -> Seam | None:
    """The seam between a network's last map and its head; None if the network returns a map.

    Args:
        maps: Its traced maps.
        network: The module itself.
        pools_are_head: Whether a pool of fixed size that spans the whole map belongs to the head, too.

    Raises:
        SurgeryError: If no single map leads to the result.
    """
    if _is_map(maps, maps.graph.output):
        return None
    output = maps.graph.output
    if output.is_map and output.name not in maps.pooled:
        raise SurgeryError(
            f"{type(network).__name__} returns a map of shape {output.shape}, which is not (b, c, *spatial) "
            f"{output.line}; dilate the part of it before its dimensions are rearranged"
        )
    features = maps.graph.nodes[0]
    for node in _passages(maps):
        if pools_are_head and _spans_all(maps, node):
            break
        if _is_map(maps, node):
            features = node
    if features.operator == "input":
        raise SurgeryError(
            f"{type(network).__name__} has no single map (b, c, *spatial) that its result is made of; dilate "
            "the part of it that makes maps"
        )
    for node in maps.graph.nodes[maps.position[features.name] + 1 :]:
        if any(isinstance(axis, Global) and axis.direct for axis in node.axes):
            raise SurgeryError(
                f"{type(network).__name__} goes on with tokens after its last map (b, c, *spatial), "
                f"{features.label}: {node.label} lets all positions meet {node.line}. Its stride is that of "
                "its patches; dilate the part of it that makes maps"
            )
    return _place(maps, network, features)


def _passages(maps: Maps) -> list[Node]:
    """The nodes that all ways from the input to the output lead through."""
    position = maps.position
    last_use = {
        name: max((position[user.name] for user in users), default=len(position))
        for name, users in maps.users.items()
    }
    passages, busy_until = [], 0
    for place, node in enumerate(maps.graph):
        if busy_until <= place:
            passages.append(node)
        busy_until = max(busy_until, last_use[node.name])
    return passages


def _is_map(maps: Maps, node: Node) -> bool:
    """Whether a value has the shape of a map, and places."""
    return node.name not in maps.pooled and node.shape[2:] == node.size


def _spans_all(maps: Maps, node: Node) -> bool:
    """Whether a node is a pool of fixed size over the whole map."""
    return (
        "pool" in node.operator
        and set(node.size) == {1}
        and len(sources := maps.maps_read(node)) == 1
        and all(
            isinstance(axis, Window) and axis.kernel_size >= size > 1
            for axis, size in zip(node.axes, sources[0].size, strict=True)
        )
    )


def _place(maps: Maps, network: nn.Module, features: Node) -> Seam:
    """Where hooks take hold: before the next module, after the node's own, or at the next function call."""
    own = maps.position[features.name]
    following = min(maps.users[features.name], key=lambda node: maps.position[node.name])
    for path in _outward(following.module):
        if all(maps.position[node.name] > own for node in maps.within(path)):
            return Seam(features, "before", path)
    for path in _outward(features.module):
        inside = maps.within(path)
        is_leaf = not list(network.get_submodule(path).children())
        if maps.position[inside[-1].name] == own and (not is_leaf or len(inside) == 1):
            return Seam(features, "after", path)
    number = sum(
        node.operator == following.operator and is_within(node.module, following.module)
        for node in maps.graph.nodes[: maps.position[following.name]]
    )
    return Seam(features, "call", following.module, following.operator, number)


def _outward(path: str) -> Sequence[str]:
    """A module's path, then that of the module around it, and so on, without the network's own."""
    parts = path.split(".") if path else []
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
