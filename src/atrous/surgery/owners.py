"""Which module can run in phases, so that an operator in it need not be changed at all."""

from collections.abc import Sequence
from dataclasses import dataclass

from atrous.geometry.axis import Global
from atrous.geometry.graph import Node
from atrous.surgery.changes import Edit, RunInPhases
from atrous.surgery.spread import Maps, Spread


@dataclass(frozen=True, slots=True)
class Owner:
    """A module that maps maps to maps.

    Attributes:
        path: Of the module.
        spread: Dense cells from one original cell to the next, (input, output), one pair an axis.
        averages: Whether something in it sees the whole map.
    """

    path: str
    spread: tuple[tuple[int, int], ...]
    averages: bool

    @property
    def is_untouched(self) -> bool:
        """Whether it can stay as it is, whatever happens inside."""
        return set(self.spread) == {(1, 1)}

    @property
    def edit(self) -> Edit:
        """The edit that makes it run in phases."""
        return Edit(self.path, f"runs on every {self._nth} position, grid by grid", RunInPhases(self.spread))

    @property
    def note(self) -> str:
        """What the user should know, in a sentence."""
        does = "averages over" if self.averages else "sees"
        return (
            f"{self.path} {does} every {self._nth} position, each of the interleaved grids by itself, so that "
            "the function is kept"
        )

    @property
    def _nth(self) -> str:
        steps = [before for before, _ in self.spread]
        suffixes = {1: "st", 2: "nd", 3: "rd"}
        words = [f"{n}{suffixes.get(n, 'th') if n < 20 else 'th'}" for n in steps]
        return words[0] if len(set(words)) == 1 else " x ".join(words)


def find_owner(maps: Maps, spreads: dict[str, Spread], path: str) -> Owner | None:
    """The innermost module round a path that takes maps of one spread, and returns maps no denser."""
    parts = path.split(".") if path else []
    for count in range(len(parts), 0, -1):
        candidate = ".".join(parts[:count])
        nodes = maps.within(candidate)
        spread = _spread(maps, spreads, nodes)
        if spread is not None:
            return Owner(candidate, spread, averages=any(_sees_all(node) for node in nodes))
    return None


def _spread(
    maps: Maps, spreads: dict[str, Spread], nodes: Sequence[Node]
) -> tuple[tuple[int, int], ...] | None:
    """The spread before and after these operators, where maps alone cross their border, all alike."""
    inside = {node.name for node in nodes}
    entering = {maps.graph[name] for node in nodes for name in node.inputs if name not in inside}
    leaving = [
        node
        for node in nodes
        if node.name in maps.graph.outputs or any(user.name not in inside for user in maps.users[node.name])
    ]
    crossing = [*entering, *leaving]
    if any(node.name in maps.pooled or node.shape[2:] != node.size for node in crossing):
        return None
    before = {spreads.get(node.name) for node in entering}
    after = {spreads.get(node.name) for node in leaving}
    if len(before) != 1 or len(after) != 1 or None in before | after:
        return None
    pairs = tuple(zip(before.pop(), after.pop(), strict=True))
    return pairs if all(dense >= less for dense, less in pairs) else None


def _sees_all(node: Node) -> bool:
    return any(isinstance(axis, Global) for axis in node.axes)
