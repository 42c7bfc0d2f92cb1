"""Running a network on an image tile by tile, exactly, for engines with fixed sizes and small memories."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from atrous.errors import ConfigError, ShapeError
from atrous.inference.tile_part import Run, TiledPart
from atrous.inference.tile_plan import TilePlan
from atrous.models.dilated_net import DilatedNet

Read = Callable[[slice], Tensor]


class Tiles:
    """A network that computes an image in tiles of one size, none of them larger than a budget allows.

    The logits are those of the network on the whole image. Every tile overlaps its neighbors by what the
    cells at its edge see beyond them, and starts where all strides of the network start; zeros, reflections
    and other borders come at the image's own borders only.

    A front end with a context module runs in stages where that takes fewer multiply-adds: the front end in
    tiles with its own, smaller halo, then the context module on the assembled map, in tiles of its own where
    the budget asks for them. The map, one cell of a few channels for 8 x 8 pixels, is held whole.

    >>> tiles = Tiles(nn.Conv2d(3, 2, 3, padding=1), torch.zeros(1, 3, 16, 16), memory_budget=4000)
    >>> tiles(torch.zeros(1, 3, 30, 40)).shape, tiles.plan((30, 40))[0].num_tiles
    (torch.Size([1, 2, 30, 40]), 8)

    Args:
        network: Any module that `atrous.trace` can trace; it runs as in evaluation mode.
        example: An input (b, c, h, w) that it takes; images may have any size.
        memory_budget: Bytes for the activations of one tile, as `TileCost.bytes_per_pixel` counts them.
        build: Makes what computes in place of the network or of its front end, such as
            `lambda part: build_engine(part, engine="openvino", device=device)`; called once for a part that
            is used. The stages after a front end run in torch.
        staged: Whether front end, context module and upsampling may run one after the other.

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
        self._example = example
        self._memory_budget = memory_budget
        self._build = build
        self._whole = TiledPart(network, example, memory_budget=memory_budget, build=build)
        self._staged = staged

    @cached_property
    def _stages(self) -> list[TiledPart]:
        """Traced only where the image does not fit into the budget as a whole."""
        stages: list[TiledPart] = []
        example, build = self._example, self._build
        for network in stages_of(self._whole.network) if self._staged else ():
            stages.append(TiledPart(network, example, memory_budget=self._memory_budget, build=build))
            example, build = stages[-1].result, None
        return stages

    def plan(self, size: tuple[int, int]) -> tuple[TilePlan, ...]:
        """The tiles of an image of this size (h, w), margin included: one grid, or one for each stage.

        The network is traced again for a size of another remainder by its strides.

        Raises:
            ConfigError: If even the smallest tiles take more than the budget.
            GeometryError: If the network can be cut at sizes of the example's remainders only.
        """
        plans: list[tuple[TilePlan, ...]] = []
        refusals: list[ConfigError] = []
        for parts in self._ways():
            try:
                plans.append(_plan_in_turn(parts, size))
            except ConfigError as error:  # the halo of a stage may fit where that of the whole does not
                refusals.append(error)
            if plans and plans[0][0].num_tiles == 1:
                break
        if not plans:
            raise refusals[-1]
        return min(plans, key=lambda stages: sum(plan.multiply_adds for plan in stages))

    def _ways(self) -> Iterator[list[TiledPart]]:
        """The network as a whole, and its stages."""
        yield [self._whole]
        if self._stages:
            yield self._stages

    def __call__(self, images: Shaped[Tensor, "b c h w"]) -> Shaped[Tensor, "b k y x"]:
        """The network's logits, one image after another.

        Args:
            images: As the network takes them, normalized and with its margin.

        Raises:
            ConfigError: If even the smallest tiles take more than the budget.
        """
        return torch.cat([self._one(image[None]) for image in images])

    def rows(
        self, size: tuple[int, int], read: Read, *, first: int = 0
    ) -> Iterator[Shaped[Tensor, "1 k y x"]]:
        """The logits of an image from top to bottom, a few rows of cells at a time.

        Only one band of tiles is held, and between two stages a map.

        Args:
            size: Pixels of the image (h, w), margin included.
            read: From a slice of the image's rows to these pixels (1, c, rows, w); slices come in order and
                overlap by the halos.
            first: The first row of cells that is wanted; bands of tiles above it are left out, but for those
                of an earlier stage.

        Raises:
            ConfigError: If even the smallest tiles take more than the budget.
            ShapeError: If something else is read than was asked for, or an engine gives other cells than
                the network.
        """
        plans = self.plan(size)
        if len(plans) == 1:
            yield from tiled_rows(plans[0], read, self._whole.run, first=first)
            return
        parts = self._stages
        weights = next(parts[1].network.parameters())
        for number in range(len(parts) - 1):
            cells = torch.cat(list(tiled_rows(plans[number], read, parts[number].run)), 2).to(weights)
            read = partial(_rows_of, cells)
        height, width = self._whole.num_cells(size)  # upsampled cells may reach beyond the image
        done = first
        for logits in tiled_rows(plans[-1], read, parts[-1].run, first=first):
            yield logits[:, :, : height - done, :width]
            done += logits.shape[2]

    def _one(self, image: Tensor) -> Tensor:
        return torch.cat(list(self.rows((image.shape[2], image.shape[3]), partial(_rows_of, image))), 2)


def stages_of(network: nn.Module) -> tuple[nn.Module, ...]:
    """Front end, context module and upsampling, which run one after the other; none of another network."""
    if not isinstance(network, DilatedNet):
        return ()
    stages = network.front_end, network.context
    return stages if network.upsampling is None else (*stages, network.upsampling)


def tiled_rows(
    plan: TilePlan, read: Read, run: Run, *, first: int = 0
) -> Iterator[Shaped[Tensor, "1 k y x"]]:
    """The cells of an image, one band of tiles after another.

    Args:
        plan: The tiles.
        read: From a slice of the image's rows to these pixels (1, c, rows, w).
        run: From a tile (1, c, *tile_size) to its cells.
        first: The first row of cells that is wanted.

    Raises:
        ShapeError: If one of the two gives another shape.
    """
    height, width = plan.tile_size
    for row in plan.rows:
        if row.cells[1] <= first:
            continue
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
        yield torch.cat(pieces, 3)[:, :, max(first - row.cells[0], 0) :]


def _plan_in_turn(parts: Sequence[TiledPart], size: tuple[int, int]) -> tuple[TilePlan, ...]:
    """The tiles of parts that take what the one before gives."""
    plans: list[TilePlan] = []
    for part in parts:
        plans.append(part.plan(size))
        size = plans[-1].num_cells
    return tuple(plans)


def _rows_of(image: Tensor, rows: slice) -> Tensor:
    return image[:, :, rows]
