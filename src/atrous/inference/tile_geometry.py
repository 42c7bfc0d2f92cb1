"""What a network lets itself be cut by: alignment, halo and cost of a tile, all from its spatial graph."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from atrous.errors import GeometryError
from atrous.geometry.axis import Interleaved, Resample, Window
from atrous.geometry.axis_field import AxisField
from atrous.geometry.exported import trace_program
from atrous.geometry.receptive_field import ReceptiveField, receptive_field
from atrous.inference.tile_plan import MultiplyAdds, TileAxis, TileCost
from atrous.inference.tile_refusals import reason_against_tiles, refuse_empty, refuse_global

Layers = tuple[ReceptiveField, ...]


@dataclass(frozen=True, slots=True)
class TileGeometry:
    """How a network can be cut.

    Attributes:
        axes: Of the height and of the width.
        cost: Of a tile.
        num_channels: Of the network's output.
    """

    axes: tuple[TileAxis, TileAxis]
    cost: TileCost
    num_channels: int


def trace_for_tiles(network: nn.Module, example: Tensor) -> TileGeometry:
    """How a network's input can be cut into tiles, for all sizes of the example's remainders.

    Args:
        network: Any module that `atrous.trace` can trace.
        example: An input (b, c, h, w); only its size and type count.

    Raises:
        GeometryError: If the network cannot be traced, an operator sees the whole of an axis, or does
            something that depends on the size of the input.
    """
    if example.ndim != 4:
        raise GeometryError(f"tiles are cut from images (b, c, h, w), not {tuple(example.shape)}; give those")
    traced = trace_program(network, example)
    refuse_global(traced)
    field = receptive_field(traced.graph)
    refuse_empty(field.layers)
    height, width = (_tile_axis(field, axis=axis, size=size) for axis, size in enumerate(example.shape[2:]))
    larger = (*example.shape[:2], height.size + height.alignment, width.size + width.alignment)
    other = trace_program(network, torch.empty(larger, dtype=example.dtype, device=example.device))
    if reason := reason_against_tiles(traced, other, field.layers):
        raise GeometryError(f"{reason}; a tile is no part of the whole: run the network on the whole image")
    cost = TileCost(
        _multiply_adds(field.layers, (height.alignment, width.alignment)),
        bytes_per_pixel=_plain(_bytes_per_pixel(field.layers, example.element_size())),
    )
    return TileGeometry((height, width), cost, num_channels=field.node.shape[1])


def _tile_axis(field: ReceptiveField, *, axis: int, size: int) -> TileAxis:
    """What one axis allows."""
    out, num_cells = field.axes[axis], field.node.size[axis]
    alignment = math.lcm(*(layer.axes[axis].advance for layer in field.layers))
    period, missing = len(out.first), _missing(field.layers, axis=axis, size=size)
    bad_until, good_until, before, after = 0, num_cells, Fraction(0), Fraction(0)
    for phase in range(period):
        box = _box(out, phase)
        whole_from = -((box[0] - missing[0]) // out.advance)  # of this phase's cells, the first that is whole
        whole_to = (size - 1 - missing[1] - box[1]) // out.advance  # and the last
        bad_until = max(bad_until, phase + (whole_from - 1) * period + 1)
        good_until = min(good_until, phase + (whole_to + 1) * period)
        before = max(before, out.stride * phase - box[0] + missing[0])
        after = max(after, box[1] + 1 + missing[1] - out.stride * (phase + 1))
    return TileAxis(
        alignment,
        cells=alignment // out.advance * period,
        size=size,
        num_cells=num_cells,
        halo=(math.ceil(before), math.ceil(after)),
        lost=(bad_until, num_cells - good_until),
        shortest=_shortest(field.layers, axis=axis, alignment=alignment, size=size, missing=missing),
    )


def _missing(layers: Layers, *, axis: int, size: int) -> tuple[int, int]:
    """Pixels inside a tile's start and end that cells beyond its edge see alone; 0 where layers pad.

    A cell that a tile has not, because its layer crops or does not pad, counts as seeing nothing outside of
    the tile; whoever reads it must be kept away by that many pixels more.
    """
    before, after = 0, 0
    for layer in layers:
        field, num_cells = layer.axes[axis], layer.node.size[axis]
        cells = range(len(field.first))
        before = max([before, *(_box(field, cell - len(cells))[0] + 1 for cell in cells)])
        after = max([after, *(size - _box(field, cell + num_cells)[1] for cell in cells)])
    return before, after


def _shortest(layers: Layers, *, axis: int, alignment: int, size: int, missing: tuple[int, int]) -> int:
    """The shortest tile with a cell in every layer, and whose edges stay out of each other's reflection."""
    by_name = {layer.node.name: layer for layer in layers}
    shortest = 1
    for layer in layers:
        growth = alignment / layer.axes[axis].stride
        spare = (layer.node.size[axis] - 1) // growth  # periods less that leave the layer a cell
        shortest = max(shortest, size - int(spare) * alignment)
        depth = _folded_depth(layer.node.axes[axis])
        if depth is None:
            continue
        source = by_name[layer.node.inputs[0]]
        at_start = _box(source.axes[axis], depth[0])
        at_end = _box(source.axes[axis], source.node.size[axis] - 1 - depth[1])
        shortest = max(shortest, at_start[1] + 1 + missing[1], size - at_end[0] + missing[0])
    return shortest


def _box(field: AxisField, cell: int) -> tuple[int, int]:
    box = field.box(cell)
    assert box is not None  # refused before
    return box


def _folded_depth(axis: Any) -> tuple[int, int] | None:
    """How far inside its input an operator reads to fill the cells beyond its start and end, if it does."""
    match axis:
        case Window(beyond="reflect"):
            return max(axis.padding[0], 0), max(axis.padding[1], 0)
        case Window(beyond="replicate") | Resample():
            return 0, 0
        case Interleaved():
            inner = _folded_depth(axis.inner)
            last = axis.phases_read - 1
            return None if inner is None else (inner[0] + last, inner[1] + last)
    return None


def _multiply_adds(layers: Layers, alignments: tuple[int, int]) -> MultiplyAdds:
    """Of a tile of the traced size, and what a period more of rows, of columns and of both adds."""
    total = [Fraction(0)] * 4
    for layer in layers:
        if not layer.node.multiply_adds:
            continue
        sizes = layer.node.size
        grown = [step / field.stride for step, field in zip(alignments, layer.axes, strict=True)]
        each = Fraction(layer.node.multiply_adds, math.prod(sizes))
        for place, (rows, columns) in enumerate(
            [(sizes[0], sizes[1]), (grown[0], sizes[1]), (sizes[0], grown[1]), (grown[0], grown[1])]
        ):
            total[place] += each * rows * columns
    return _plain(total[0]), _plain(total[1]), _plain(total[2]), _plain(total[3])


def _bytes_per_pixel(layers: Layers, itemsize: int) -> Fraction:
    """Of the values that are alive at once, the most at any time, an input pixel.

    Each operator is counted as if it wrote a new tensor, and a tensor lives until its last reader has run.
    Weights and what libraries take for themselves are not counted, nor cells that padding adds.
    """
    last_readers = {name: layer.node.name for layer in layers for name in layer.node.inputs}
    alive: dict[str, Fraction] = {}
    most = Fraction(0)
    for layer in layers:
        node = layer.node
        alive[node.name] = _values_per_pixel(layer)
        most = max(most, sum(alive.values(), Fraction(0)))
        for name in {*node.inputs, node.name}:
            if last_readers.get(name, "") == node.name:
                del alive[name]
    return most * itemsize


def _values_per_pixel(layer: ReceptiveField) -> Fraction:
    """Values of a node for every pixel of the input."""
    channels = Fraction(math.prod(layer.node.shape), math.prod(layer.node.size))
    return channels / math.prod(Fraction(stride) for stride in layer.stride)


def _plain(number: Fraction) -> int | Fraction:
    return int(number) if number.denominator == 1 else number
