"""A traced network as steps that run on a part of the streamed axis, in the order of the program."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx
from torch.fx.node import map_aggregate

from atrous.errors import GeometryError
from atrous.geometry.axis import POINTWISE, Global
from atrous.geometry.exported import TracedProgram
from atrous.geometry.graph import Node
from atrous.geometry.layout import Layout
from atrous.geometry.program import aligns
from atrous.inference import stream_pools, stream_resampling, stream_windows
from atrous.inference.stream_arguments import Arguments, Pieces, Positional, fill
from atrous.inference.stream_in_place import EXPANSIONS, RESHAPES, functional_form
from atrous.inference.stream_windows import Call, Local

_LOCAL: dict[str, Callable[[Call], Local]] = {
    **{f"conv{rank}d": stream_windows.convolution for rank in (1, 2, 3)},
    **{f"conv_transpose{rank}d": stream_windows.transposed_convolution for rank in (1, 2, 3)},
    **{f"max_pool{rank}d": stream_pools.max_pool for rank in (1, 2, 3)},
    **{f"avg_pool{rank}d": stream_pools.avg_pool for rank in (1, 2, 3)},
    **dict.fromkeys(("pad", "constant_pad_nd"), stream_pools.pad),
    **{
        f"{kind}_pad{rank}d": stream_pools.pad for kind in ("reflection", "replication") for rank in (1, 2, 3)
    },
    "slice": stream_pools.slice_axis,
    **{
        f"upsample_{mode}": stream_resampling.interpolation
        for mode in ("linear1d", "bilinear2d", "trilinear3d", "bicubic2d")
    },
    **{
        f"{prefix}{rank}d": stream_resampling.interpolation
        for prefix in ("upsample_nearest", "_upsample_nearest_exact")
        for rank in (1, 2, 3)
    },
    "pixel_shuffle": stream_resampling.pixel_shuffle,
    "pixel_unshuffle": stream_resampling.pixel_unshuffle,
}


@dataclass(frozen=True, slots=True)
class Step:
    """One operator of the network on the streamed axis.

    Attributes:
        name: Of its node.
        label: What a reader knows it by.
        inputs: Names of the streamed values that it reads.
        dim: The dimension of its result that holds the axis.
        unit: Entries of that dimension a cell: more than one where positions are flattened.
        size: Cells of its result when traced.
        local: What it does, where it reads other cells than the one at its own place.
        run: What it does otherwise: the pieces of its inputs, and the cells from start up to stop.
    """

    name: str
    label: str
    inputs: tuple[str, ...]
    dim: int
    unit: int
    size: int
    local: Local | None
    run: Callable[[Pieces, int, int], Any]


class StreamProgram:
    """The steps from a network's input to its output.

    Args:
        traced: The network.
        axis: The spatial axis that is streamed, from 0.

    Attributes:
        steps: In running order; the first is the input.
        positional: An operator that reads a value for every position of the axis, in words; empty for none.

    Raises:
        GeometryError: If an operator sees the whole axis, or cannot be cut along it.
    """

    def __init__(self, traced: TracedProgram, axis: int) -> None:
        self.traced, self.axis = traced, axis
        self._arguments = Arguments(traced)
        self.positional = ""
        self.steps = tuple(self._steps())

    @property
    def output(self) -> str:
        """Name of the value that the network returns, the first where it returns several."""
        return self.traced.graph.outputs[0]

    def _steps(self) -> Iterator[Step]:
        needed = self._needed()
        for node in self.traced.program.graph.nodes:
            if node.name in needed:
                yield self._step(node, self.traced.graph[node.name])
            self._arguments.done(node)

    def _needed(self) -> set[str]:
        """Names of the nodes that the output depends on."""
        needed, graph = {self.output}, self.traced.graph
        for node in reversed(graph.nodes):
            if node.name in needed:
                needed.update(node.inputs)
        return needed

    def _step(self, node: fx.Node, geometry: Node) -> Step:
        axis = geometry.axes[self.axis]
        if isinstance(axis, Global):
            raise GeometryError(
                f'"{geometry.label}" sees the whole axis ({axis.reason}) {geometry.line}; stream along '
                "another axis, or run the network on the whole input"
            )
        dim, unit, size = self._place(geometry)
        local = None
        if axis != POINTWISE:
            local = self._local(node, geometry, dim, unit)
        return Step(
            geometry.name, geometry.label, geometry.inputs, dim, unit, size, local,
            _identity if node.op == "placeholder" else self._pointwise(node, geometry, dim, unit),
        )  # fmt: skip

    def _place(self, geometry: Node) -> tuple[int, int, int]:
        """The dimension that holds the axis, entries a cell, and cells."""
        layout: Layout = self.traced.layouts[geometry.name]
        for dim, atoms in enumerate(layout):
            for number, atom in enumerate(atoms):
                if atom.axis != self.axis:
                    continue
                if math.prod(outer.size for outer in atoms[:number]) != 1:
                    raise GeometryError(
                        f'"{geometry.label}" puts the axis inside of other positions {geometry.line}; stream '
                        "along another axis"
                    )
                return dim, math.prod(inner.size for inner in atoms[number + 1 :]), atom.size
        raise GeometryError(
            f'"{geometry.label}" has lost the axis {geometry.line}; stream along another axis, or run the '
            "network on the whole input"
        )

    def _local(self, node: fx.Node, geometry: Node, dim: int, unit: int) -> Local:
        build = _LOCAL.get(geometry.operator)
        if build is None or unit != 1 or len(geometry.inputs) != 1:
            raise GeometryError(
                f'"{geometry.label}" ({geometry.operator}) cannot run on a part of its axis {geometry.line}; '
                "run the network on the whole input"
            )
        axis = geometry.axes[self.axis]
        assert not isinstance(axis, Global)
        arguments = self._arguments.constants_of(node)
        (source,) = geometry.inputs
        _, _, size = self._place(self.traced.graph[source])
        return build(Call(geometry.operator, arguments, axis, dim, size, geometry.shape))

    def _pointwise(
        self, node: fx.Node, geometry: Node, dim: int, unit: int
    ) -> Callable[[Pieces, int, int], Any]:
        """The operator on cells at their own place; sizes that it was given follow the piece."""
        if geometry.operator in RESHAPES or geometry.operator in EXPANSIONS:
            return self._reshaped(geometry, dim, unit)
        target = functional_form(node)
        arguments = self._arguments.of((node.args, node.kwargs))
        if aligns(node):
            arguments = map_aggregate(arguments, lambda value: self._with_positions(value, geometry))

        def run(pieces: Pieces, start: int, stop: int) -> Any:
            args, kwargs = fill(arguments, pieces, start, stop)
            return target(*args, **kwargs)

        return run

    def _reshaped(self, geometry: Node, dim: int, unit: int) -> Callable[[Pieces, int, int], Any]:
        (source,), shape = geometry.inputs, list(geometry.shape)
        expands = geometry.operator in EXPANSIONS

        def run(pieces: Pieces, start: int, stop: int) -> Tensor:
            sizes = [*shape[:dim], unit * (stop - start), *shape[dim + 1 :]]
            return pieces[source].expand(sizes) if expands else pieces[source].reshape(sizes)

        return run

    def _with_positions(self, value: Any, reader: Node) -> Any:
        """A constant that holds one value for every position goes along with the cells."""
        dim, unit, size = self._place(reader)
        place = dim - len(reader.shape)
        if not isinstance(value, Tensor) or value.ndim < -place or value.shape[place] != unit * size != 1:
            return value
        if reader.operator != "cat" and bool((value == (first := value.narrow(place, 0, 1))).all()):
            return first  # zeros, ones: the same at every position
        self.positional = f'"{reader.label}" reads a value for every position {reader.line}'
        return Positional(value, value.ndim + place, unit)


def _identity(pieces: Pieces, start: int, stop: int) -> Tensor:  # noqa: ARG001
    (piece,) = pieces.values()
    return piece
