"""A network, or one stage of it, and the tiles of every size of image that came."""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from atrous.geometry.program import evaluating
from atrous.inference.tile_geometry import TileGeometry, trace_for_tiles
from atrous.inference.tile_plan import TilePlan, plan_tiles

Run = Callable[[Tensor], Tensor]


class TiledPart:
    """What `Tiles` computes in one go.

    Args:
        network: Any module that `atrous.trace` can trace.
        example: An input (b, c, h, w) that it takes.
        memory_budget: Bytes for the activations of one tile.
        build: Makes what computes in its place; called once, when it is first asked for.

    Attributes:
        result: An output of the network, without values.

    Raises:
        GeometryError: If it cannot be tiled.
    """

    def __init__(
        self, network: nn.Module, example: Tensor, *, memory_budget: int, build: Callable[..., Run] | None
    ) -> None:
        self.network = network
        self._example = example
        self._memory_budget = memory_budget
        self._build = build
        geometry = trace_for_tiles(network, example)
        self._axes = geometry.axes
        self._geometries = {self._remainders((example.shape[2], example.shape[3])): geometry}
        self._plans: dict[tuple[int, int], TilePlan] = {}
        cells = [axis.num_cells for axis in geometry.axes]
        self.result = example.new_empty((1, geometry.num_channels, *cells))

    @cached_property
    def run(self) -> Run:
        """From a tile to its cells."""
        return self._computed if self._build is None else self._build(self.network)

    def plan(self, size: tuple[int, int]) -> TilePlan:
        """The cheapest tiles of an image of this size (h, w).

        Raises:
            ConfigError: If even the smallest tiles take more than the budget.
            GeometryError: If the network cannot be cut at sizes of these remainders.
        """
        if size not in self._plans:
            geometry = self._geometry(size)
            self._plans[size] = plan_tiles(
                size, geometry.axes, geometry.cost, memory_budget=self._memory_budget
            )
        return self._plans[size]

    def num_cells(self, size: tuple[int, int]) -> tuple[int, int]:
        """Output cells of an image of this size (h, w)."""
        rows, columns = self._geometry(size).axes
        return rows.num_cells_of(size[0]), columns.num_cells_of(size[1])

    def _computed(self, images: Tensor) -> Tensor:
        with evaluating(self.network), torch.no_grad():
            return self.network(images)

    def _geometry(self, size: tuple[int, int]) -> TileGeometry:
        """Traced once for each remainder of sizes: borders are the same for all of one."""
        key = self._remainders(size)
        if key not in self._geometries:
            sides = [
                axis.size + (side - axis.size) % axis.alignment
                for axis, side in zip(self._axes, size, strict=True)
            ]
            example = self._example.new_empty((*self._example.shape[:2], *sides))
            self._geometries[key] = trace_for_tiles(self.network, example)
        return self._geometries[key]

    def _remainders(self, size: tuple[int, int]) -> tuple[int, int]:
        rows, columns = (side % axis.alignment for axis, side in zip(self._axes, size, strict=True))
        return rows, columns
