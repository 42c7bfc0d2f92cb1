"""Which module round an operator can be left as it is, because it gets to see the original's grid only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from atrous.geometry.axis import Global
from atrous.geometry.graph import Node
from atrous.surgery.changes import Change, Edit, ReadSamples, RunInPhases
from atrous.surgery.spread import Maps, Spread


@dataclass(frozen=True, slots=True)
class Owner:
    """A module that takes maps, and returns maps or what is pooled from them.

    Attributes:
        path: Of the module.
        before: Dense cells from one original cell to the next in what it takes, one number an axis.
        after: In what it returns; empty if that has no places.
        averages: Whether something in it sees the whole map.
    """

    path: str
    before: Spread
    after: Spread
    averages: bool

    @property
    def is_untouched(self) -> bool:
        """Whether it can stay as it is, whatever happens inside."""
        return set(self.before) == {1}

    @property
    def edit(self) -> Edit:
        """The edit that shows it the original's grid, or all grids that lie like it."""
        if not self.after:
            return Edit(self.path, f"reads every {self._nth} position", ReadSamples(self.before))
        change: Change = RunInPhases(tuple(zip(self.before, self.after, strict=True)))
        return Edit(self.path, f"runs on every {self._nth} position, grid by grid", change)

    @property
    def note(self) -> str:
        """For one that averages, what the user should know, in a sentence."""
        alone = ", each of the interleaved grids by itself" if self.after else ""
        return f"{self.path} averages over every {self._nth} position{alone}, so that the function is kept"

    @property
    def _nth(self) -> str:
        suffixes = {1: "st", 2: "nd", 3: "rd"}
        words = [f"{step}{suffixes.get(step, 'th')}" for step in self.before]
        return words[0] if len(set(words)) == 1 else " x ".join(words)


def find_owner(maps: Maps, spreads: dict[str, Spread], path: str) -> Owner | None:
    """The innermost module round a path whose maps have one spread, and that returns maps no denser.

    If there is none, the innermost that returns only what is pooled, such as the gate of an attention.
    """
    found = list(_owners(maps, spreads, path))
    return next((owner for owner in found if owner.after), found[0] if found else None)


def _owners(maps: Maps, spreads: dict[str, Spread], path: str) -> Iterator[Owner]:
    """All modules round a path, and itself, whose border only maps of one spread cross."""
    parts = path.split(".") if path else []
    for count in range(len(parts), 0, -1):
        candidate = ".".join(parts[:count])
        nodes = maps.within(candidate)
        entering, leaving = _crossing(maps, nodes)
        before, after = _common(spreads, entering), _common(spreads, leaving)
        averages = any(_sees_all(node) for node in nodes)
        if before and all(node.name in maps.pooled for node in leaving):
            yield Owner(candidate, before, (), averages)
        is_image = all(node.shape[2:] == node.size for node in (*entering, *leaving))
        if before and after and is_image and all(a <= b for a, b in zip(after, before, strict=True)):
            yield Owner(candidate, before, after, averages)


def _crossing(maps: Maps, nodes: Sequence[Node]) -> tuple[list[Node], list[Node]]:
    """What operators read from outside, and what is read of them outside."""
    inside = {node.name for node in nodes}
    entering = {name: maps.graph[name] for node in nodes for name in node.inputs if name not in inside}
    leaving = [
        node
        for node in nodes
        if node.name in maps.graph.outputs or any(user.name not in inside for user in maps.users[node.name])
    ]
    return list(entering.values()), leaving


def _common(spreads: dict[str, Spread], nodes: Sequence[Node]) -> Spread | None:
    """The spread that is the same in all maps; None if it is not, or one is no map (..., *spatial)."""
    found = {spreads.get(node.name) for node in nodes}
    is_map = all(node.shape[-len(node.size) :] == node.size for node in nodes)
    return found.pop() if len(found) == 1 and is_map else None


def _sees_all(node: Node) -> bool:
    return any(isinstance(axis, Global) for axis in node.axes)
