"""What a dense network returns: the map that its head would pool, or the head's result on every cell."""

import math
from typing import Literal

from torch import nn

from atrous.errors import SurgeryError
from atrous.geometry.graph import Node
from atrous.surgery.changes import Drop, Edit, in_words
from atrous.surgery.convolutionize import Convolve, OneWindow, Rows, Windows
from atrous.surgery.handover import AtSeam, Features
from atrous.surgery.phases import Slot
from atrous.surgery.seam import Seam
from atrous.surgery.spread import Maps

Head = Literal["features", "dense"]
_ADAPTIVE_POOLS = (
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
)  # fmt: skip
_FREE = frozenset({"flatten", "view", "reshape", "dropout", "clone", "contiguous"})


def plan_head(
    maps: Maps, network: nn.Module, seam: Seam | None, *, head: Head, spread: tuple[int, ...]
) -> tuple[Edit, ...]:
    """The edits that make a network return a map.

    Args:
        maps: The network's traced maps.
        network: The module itself.
        seam: Where its head begins; None if it returns a map already.
        head: What is wanted of the head.
        spread: Dense cells from one original cell of the last map to the next.

    Raises:
        SurgeryError: If the head cannot run on every cell.
    """
    if seam is None:
        return ()
    kept = Slot()
    if head == "features":
        return (Edit("", "returns the map that its head pools", AtSeam(seam, Features(spread, kept))),)
    linear, window = _first_linear(maps, seam)
    if linear is None or math.prod(window) == 1:
        return (Edit("", "head on every cell", AtSeam(seam, Rows(kept))),)
    layer = network.get_submodule(linear.module)
    if type(layer) is not nn.Linear or layer.in_features % math.prod(window):
        raise SurgeryError(
            f"{linear.label} takes a flattened map, and is no plain nn.Linear of it {linear.line}; it cannot "
            'become a convolution; take head="features"'
        )
    size = "x".join(map(str, window))
    dilation = f", dilation {in_words(spread)}" if max(spread) > 1 else ""
    return (
        *_pass_through(maps, network, seam, linear),
        Edit(linear.module, f"linear -> {size} convolution{dilation}", Convolve(window, spread, kept)),
        Edit("", "head on every window", AtSeam(seam, Windows(kept))),
    )


def _first_linear(maps: Maps, seam: Seam) -> tuple[Node | None, tuple[int, ...]]:
    """The linear layer that a head begins with, and the cells that it takes of the last map."""
    for node in _after(maps, seam):
        if node.operator in ("linear", "addmm", "matmul", "mm"):
            source = maps.graph[node.inputs[0]]
            return node, source.size if source.is_map else (1,) * maps.graph.rank
        if "conv" in node.operator:
            break
    return None, ()


def _pass_through(maps: Maps, network: nn.Module, seam: Seam, linear: Node) -> list[Edit]:
    """Between the last map and the linear layer nothing but shape may change; adaptive pools are left out."""
    edits = []
    for node in _after(maps, seam):
        if node is linear:
            break
        if isinstance(network.get_submodule(node.module), _ADAPTIVE_POOLS):
            edits.append(Edit(node.module, "left out", Drop()))
        elif node.operator not in _FREE and not (node.is_pointwise and "norm" not in node.operator):
            raise SurgeryError(
                f"{node.label} calls {node.operator} between the last map and the linear layer "
                f"{linear.label} {node.line}; make it a module, nn.AdaptiveAvgPool2d, or take features"
            )
    return edits


def _after(maps: Maps, seam: Seam) -> tuple[Node, ...]:
    return maps.graph.nodes[maps.position[seam.features.name] + 1 :]


def plan_probe(maps: Maps, seam: Seam | None) -> tuple[Edit, ...]:
    """The edits that make the untouched head see one window of the original's map only."""
    if seam is None:
        return ()
    return (Edit("", "head on one window", AtSeam(seam, OneWindow(head_window(maps, seam)))),)


def head_window(maps: Maps, seam: Seam | None) -> tuple[int, ...]:
    """Cells of the last map along each axis that a head flattens; empty if it takes one cell at a time."""
    linear, window = (None, ()) if seam is None else _first_linear(maps, seam)
    return window if linear and math.prod(window) > 1 else ()
