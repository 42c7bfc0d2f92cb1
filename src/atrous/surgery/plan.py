"""The plan of a surgery: which module is changed how, and what a reader should know."""

import copy
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from atrous.errors import ConfigError, SurgeryError
from atrous.geometry.axis import Window
from atrous.geometry.graph import Node, SpatialGraph
from atrous.geometry.receptive_field import ReceptiveField
from atrous.geometry.trace import trace
from atrous.surgery.body import Pools, plan_body
from atrous.surgery.changes import Edit, replace_
from atrous.surgery.head import Head, head_window, plan_head, plan_probe
from atrous.surgery.seam import find_seam
from atrous.surgery.spread import Maps, Spread, plan_spreads


@dataclass(frozen=True, slots=True)
class Surgery:
    """A surgery that can be read before it is done, and done to any network of the same structure.

    Attributes:
        output_stride: Input cells from one cell of the dense map to the next.
        spread: Dense cells from one cell of the original's last map to the next, one number an axis.
        pools: Whether pools are kept, and the function with them.
        head: What becomes of the head.
        edits: What is done to the network, in the order it is done.
        notes: What a reader should know, in sentences.
        original: The edits without any removed stride: what the dense network is compared with.
        probe: For a dense head: the edits that make the original's head see one window only.
        receptive_field: Of the original's last map, or of its head where that reads a window of it.
        spreads: How much denser the results of each module's own operators become, by path.
    """

    output_stride: int
    spread: Spread
    pools: Pools
    head: Head
    edits: tuple[Edit, ...]
    notes: tuple[str, ...]
    original: tuple[Edit, ...] = field(repr=False)
    probe: tuple[Edit, ...] = field(repr=False)
    receptive_field: ReceptiveField = field(repr=False)
    spreads: dict[str, tuple[Spread, ...]] = field(repr=False)

    def apply(self, network: nn.Module) -> nn.Module:
        """A dense copy of a network; the argument is untouched."""
        return apply_edits(network, self.edits)


def plan_surgery(
    network: nn.Module,
    example: Tensor,
    *,
    output_stride: int = 8,
    pools: Pools = "keep",
    head: Head = "features",
) -> Surgery:
    """How a network becomes dense; nothing is done yet. Arguments are those of `dilate`.

    Raises:
        GeometryError: If the network cannot be traced on the example.
        SurgeryError: If it cannot be made dense at that stride; the reasons name every call and its line.
        ConfigError: If pools or head is an unknown word.
    """
    if pools not in ("keep", "drop") or head not in ("features", "dense"):
        raise ConfigError(
            f'pools {pools!r}, head {head!r}: give pools "keep" or "drop", head "features" or "dense"'
        )
    if not isinstance(network, nn.Module):
        raise SurgeryError(f"a {type(network).__name__} cannot be dilated; give a torch.nn.Module")
    name = type(network).__name__
    maps = _traced_maps(network, example)
    seam = find_seam(maps, network, pools_are_head=head == "features")
    last = maps.graph.output if seam is None else seam.features
    body = Maps(_up_to(maps.graph, last))
    spreads = plan_spreads(body, output_stride, name=name)
    edits, notes = plan_body(body, network, spreads, pools=pools)
    spread, ones = spreads[last.name], (1,) * maps.graph.rank
    if pools == "drop" and any(edit.what.endswith("dropped") for edit in edits):
        notes = (*notes, "pools are dropped: this is another function, which shares the weights")
    seen = maps.fields[last.name]
    if head == "dense" and (window := head_window(maps, seam)):
        read = zip(seen.axes, window, strict=True)
        seen = replace(seen, axes=tuple(axis.through(Window(cells)) for axis, cells in read))
    return Surgery(
        output_stride,
        spread,
        pools,
        head,
        edits=(*edits, *plan_head(maps, network, seam, head=head, spread=spread)),
        notes=notes,
        original=plan_head(maps, network, seam, head=head, spread=ones),
        probe=plan_probe(maps, seam) if head == "dense" else (),
        receptive_field=seen,
        spreads=_by_module(body.graph, spreads),
    )


def apply_edits(network: nn.Module, edits: tuple[Edit, ...]) -> nn.Module:
    """A copy of a network with these edits done."""
    dense = copy.deepcopy(network)
    for edit in copy.deepcopy(edits):  # what its hooks share, they share in this copy only
        old = dense.get_submodule(edit.path)
        new = edit.change.apply_(old)
        if old is dense:
            dense = new
        elif new is not old:
            replace_(dense, old, new)
    return dense


def _by_module(graph: SpatialGraph, spreads: dict[str, Spread]) -> dict[str, tuple[Spread, ...]]:
    found: dict[str, tuple[Spread, ...]] = {}
    for node in graph:
        if node.name in spreads:
            known = found.get(node.module, ())
            found[node.module] = known if spreads[node.name] in known else (*known, spreads[node.name])
    return found


def _traced_maps(network: nn.Module, example: Tensor) -> Maps:
    graph = trace(network, example)
    if len(graph.outputs) > 1:
        raise SurgeryError(
            f"{type(network).__name__} returns {len(graph.outputs)} tensors; wrap it in a module that "
            "returns one"
        )
    return Maps(_up_to(graph, graph.output))


def _up_to(graph: SpatialGraph, last: Node) -> SpatialGraph:
    """The part of a graph that a node is made of."""
    needed = {last.name}
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    nodes = [node for node in graph if node.name in needed or node.operator == "input"]
    return SpatialGraph(tuple(nodes), outputs=(last.name,))
