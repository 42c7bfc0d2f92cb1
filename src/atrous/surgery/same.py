"""Layers that pad in their own forward for ceil(size / stride) cells, as TensorFlow does."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from atrous.errors import GeometryError
from atrous.geometry.axis import Window
from atrous.geometry.graph import Node
from atrous.geometry.trace import trace
from atrous.surgery.windows import DenseAxis


def pads_same(layer: nn.Module, nodes: Sequence[Node], axes: Sequence[DenseAxis]) -> bool:
    """Whether a layer's own padding is TensorFlow's SAME, at the traced size and at one larger by a cell.

    Args:
        layer: A convolution or pool.
        nodes: Its operators in the traced network, a pad among them.
        axes: What it would be with that padding.
    """
    pad = next(node for node in nodes if "pad" in node.operator)
    size = [cells - sum(_padding(axis)) for cells, axis in zip(pad.size, pad.axes, strict=True)]
    return all(
        _own_padding(layer, [cells + longer for cells in size])
        == [axis.original_padding(cells + longer) for axis, cells in zip(axes, size, strict=True)]
        for longer in (0, 1)
    )


def _own_padding(layer: Any, size: Sequence[int]) -> list[tuple[int, int]] | None:
    """Cells that a layer adds along each axis to an input of a size, by all its operators."""
    weight = next(iter(layer.parameters()), torch.zeros(()))
    example = weight.new_zeros((1, getattr(layer, "in_channels", 1), *size))
    try:
        graph = trace(layer, example)
    except GeometryError:
        return None
    added = [[_padding(axis) for axis in node.axes] for node in graph if node.is_map]
    return [
        (sum(before for before, _ in pairs), sum(after for _, after in pairs))
        for pairs in zip(*added, strict=True)
    ]


def _padding(axis: Any) -> tuple[int, int]:
    return axis.padding if isinstance(axis, Window) else (0, 0)
