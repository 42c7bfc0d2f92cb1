"""Running a network on an image tile by tile, exactly, for engines with fixed sizes and small memories."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from atrous.errors import ConfigError, ShapeError
from atrous.geometry.program import evaluating
from atrous.inference.tile_geometry import TileGeometry, trace_for_tiles
from atrous.inference.tile_plan import TilePlan, plan_tiles
from atrous.models.dilated_net import DilatedNet

Run = Callable[[Tensor], Tensor]
Read = Callable[[slice], Tensor]


class Tiles:
    """A network that computes an image in tiles of one size, none of them larger than a budget allows.

    The logits are those of the network on the whole image. Every tile overlaps its neighbors by what the
    cells at its edge see beyond them, and starts where all strides of the network start; zeros, reflections
    and other borders come at the image's own borders only.

    A front end with a context module is cut in two stages where that takes fewer multiply-adds: the front end
    in tiles with its own, smaller halo, then the context module on the assembled map, in tiles of its own
    where the budget asks for them. The map, a few channels of one cell for 8 x 8 pixels, is held whole.

    >>> tiles = Tiles(nn.Conv2d(3, 2, 3, padding=1), torch.zeros(1, 3, 16, 16), memory_budget=4000)
    >>> tiles(torch.zeros(1, 3, 30, 40)).shape, tiles.plan((30, 40))[0].num_tiles
    (torch.Size([1, 2, 30, 40]), 9)

    Args:
        network: Any module that `atrous.trace` can trace; it runs as in evaluation mode.
        example: An input (b, c, h, w) that it takes; images may have any size.
        memory_budget: Bytes for the activations of one tile, as `TileCost.bytes_per_pixel` counts them.
        build: Makes what computes in place of the network or of its front end, such as
            `lambda part: build_engine(part, engine="openvino", device=device)`; called once for a part that
            is used. A context module alone always runs in torch.
        staged: Whether front end and context module may run one after the other.

    Raises:
        GeometryError: If an operator sees the whole image, or depends on its size or on the position in it.
        ConfigError: If the budget is not positive.
    """

    def __init__(
        self,
        network: nn.Module,
        example: Tensor,
        *,
        memory_budget: int,
        build: Callable[..., Run] | None = None,
        staged: bool = True,
    ) -> None:
        if memory_budget < 1:
            raise ConfigError(f"a budget of {memory_budget} bytes holds nothing; give a positive number")
        self._whole = _Part(network, example, memory_budget, build)
        self._stages: tuple[_Part, ...] = ()
        if staged and isinstance(network, DilatedNet):
            front_end = _Part(network.front_end, example, memory_budget, build)
            follows = (
                [network.context] if network.upsampling is None else [network.context, network.upsampling]
            )
            cells = example.new_empty(
                (1, front_end.geometry.num_channels, *front_end.num_cells(_size(example)))
            )
            self._stages = (front_end, _Part(nn.Sequential(*follows), cells, memory_budget, None))

    def plan(self, size: tuple[int, int]) -> tuple[TilePlan, ...]:
        """The tiles of an image of this size (h, w), margin included: one grid, or one for each stage.

        Raises:
            ConfigError: If even the smallest tiles take more than the budget.
        """
        plans: list[tuple[TilePlan, ...]] = []
        refusal: ConfigError | None = None
        for parts in ((self._whole,), self._stages):
            try:
                plans.append(_plan_in_turn(parts, size))
            except ConfigError as error:  # one way may fit where the other does not
                refusal = error
        if possible := [plan for plan in plans if plan]:
            return min(possible, key=lambda plan: sum(stage.multiply_adds for stage in plan))
        assert refusal is not None
        raise refusal

    def __call__(self, images: Shaped[Tensor, "b c h w"]) -> Shaped[Tensor, "b k y x"]:
        """The network's logits, one image after another.

        Args:
            images: As the network takes them, normalized and with its margin.

        Raises:
            ConfigError: If even the smallest tiles take more than the budget.
        """
        return torch.cat([self._one(image[None]) for image in images])

    def rows(self, size: tuple[int, int], read: Read) -> Iterator[Shaped[Tensor, "1 k y x"]]:
        """The logits of an image from top to bottom, a few rows of cells at a time.

        Only one band of tiles is held, and with two stages the map between them.

        Args:
            size: Pixels of the image (h, w), margin included.
            read: From a slice of the image's rows to these pixels (1, c, rows, w); slices come in order and
                overlap by the halos.

        Raises:
            ConfigError: If even the smallest tiles take more than the budget.
            ShapeError: If something else is read than was asked for, or an engine gives other cells than
                the network.
        """
        plans = self.plan(size)
        if len(plans) == 1:
            yield from tiled_rows(plans[0], read, self._whole.run)
            return
        front_end, follows = self._stages
        cells = follows.accepted(torch.cat(list(tiled_rows(plans[0], read, front_end.run)), 2))
        height, width = self._whole.num_cells(size)  # upsampled cells may reach beyond the image
        done = 0
        for logits in tiled_rows(plans[1], lambda rows: cells[:, :, rows], follows.run):
            yield logits[:, :, : height - done, :width]
            done += logits.shape[2]

    def _one(self, image: Tensor) -> Tensor:
        return torch.cat(list(self.rows(_size(image), lambda rows: image[:, :, rows])), 2)


def tiled_rows(plan: TilePlan, read: Read, run: Run) -> Iterator[Shaped[Tensor, "1 k y x"]]:
    """The cells of an image, one band of tiles after another.

    Args:
        plan: The tiles.
        read: From a slice of the image's rows to these pixels (1, c, rows, w).
        run: From a tile (1, c, *tile_size) to its cells.

    Raises:
        ShapeError: If one of the two gives another shape.
    """
    height, width = plan.tile_size
    for row in plan.rows:
        band = read(slice(row.start, row.start + height))
        if band.shape[0] != 1 or tuple(band.shape[2:]) != (height, plan.size[1]):
            raise ShapeError(
                f"read gave {tuple(band.shape)} for {height} rows of an image of {plan.size[0]} x "
                f"{plan.size[1]}; give (1, c, rows, w)"
            )
        pieces: list[Tensor] = []
        for column in plan.columns:
            cells = run(band[..., column.start : column.start + width])
            if tuple(cells.shape[2:]) != plan.tile_cells:
                raise ShapeError(
                    f"a tile of {height} x {width} px became {tuple(cells.shape)}, where the network gives "
                    f"{plan.tile_cells} cells; compute it by the same network"
                )
            pieces.append(cells[:, :, slice(*row.kept), slice(*column.kept)])
        yield torch.cat(pieces, 3)


def _size(images: Tensor) -> tuple[int, int]:
    height, width = images.shape[2:]
    return height, width


def _plan_in_turn(parts: tuple["_Part", ...], size: tuple[int, int]) -> tuple[TilePlan, ...]:
    """The tiles of parts that take what the one before gives."""
    plans: list[TilePlan] = []
    for part in parts:
        plans.append(part.plan(size))
        size = plans[-1].num_cells
    return tuple(plans)


class _Part:
    """A network, or one stage of it, and the tiles of every size that came."""

    def __init__(
        self, network: nn.Module, example: Tensor, memory_budget: int, build: Callable[..., Run] | None
    ) -> None:
        self.network = network
        self.example = example
        self.memory_budget = memory_budget
        self.build = build
        self.geometry = trace_for_tiles(network, example)
        self._geometries = {self._remainders(_size(example)): self.geometry}
        self._plans: dict[tuple[int, int], TilePlan] = {}

    @cached_property
    def run(self) -> Run:
        """What computes a tile."""
        return self._computed if self.build is None else self.build(self.network)

    def plan(self, size: tuple[int, int]) -> TilePlan:
        """The cheapest tiles."""
        if size not in self._plans:
            geometry = self._geometry(size)
            self._plans[size] = plan_tiles(
                size, geometry.axes, geometry.cost, memory_budget=self.memory_budget
            )
        return self._plans[size]

    def num_cells(self, size: tuple[int, int]) -> tuple[int, int]:
        """Output cells of an input of this size."""
        rows, columns = self._geometry(size).axes
        return rows.num_cells_of(size[0]), columns.num_cells_of(size[1])

    def accepted(self, images: Tensor) -> Tensor:
        """Images of another part in the type and at the place of this one's weights."""
        return images.to(next(self.network.parameters()))

    def _computed(self, images: Tensor) -> Tensor:
        with evaluating(self.network), torch.no_grad():
            return self.network(images)

    def _geometry(self, size: tuple[int, int]) -> TileGeometry:
        """Traced once for each remainder of sizes: borders are the same for all of one."""
        key = self._remainders(size)
        if key not in self._geometries:
            sides = [
                axis.size + (side - axis.size) % axis.alignment
                for axis, side in zip(self.geometry.axes, size, strict=True)
            ]
            example = self.example.new_empty((*self.example.shape[:2], *sides))
            self._geometries[key] = trace_for_tiles(self.network, example)
        return self._geometries[key]

    def _remainders(self, size: Sequence[int]) -> tuple[int, int]:
        rows, columns = (side % axis.alignment for axis, side in zip(self.geometry.axes, size, strict=True))
        return rows, columns
