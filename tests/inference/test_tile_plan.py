"""Tiles of one size: every cell once, each with all that it sees, and no cheaper grid in the budget."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.errors import ConfigError, ShapeError
from atrous.inference.tile_plan import TileAxis, TileCost, TilePlan, plan_axis, plan_tiles


@dataclass(frozen=True)
class Padded:
    """A network that pads: cell r is at pixel `stride * r` and sees `before` and `after` pixels round it."""

    stride: int
    before: int
    after: int

    def num_cells(self, size: int) -> int:
        return -(-size // self.stride)

    def box(self, cell: int) -> tuple[int, int]:
        return cell * self.stride - self.before, cell * self.stride + self.after

    def axis(self, size: int) -> TileAxis:
        """By looking at the cells of one long input of the same remainder, one after the other."""
        long = size + 100 * self.stride
        cells = range(self.num_cells(long))
        at_start = sum(self.box(cell)[0] < 0 for cell in cells)
        at_end = sum(self.box(cell)[1] >= long for cell in cells)
        return TileAxis(self.stride, 1, long, len(cells), (self.before, self.after), (at_start, at_end))


NETWORKS = st.builds(Padded, st.integers(1, 8), st.integers(0, 40), st.integers(0, 40))


@given(network=NETWORKS, size=st.integers(1, 300), data=st.data())
def test_plan_axis_computes_every_cell_once_with_all_that_it_sees(
    network: Padded, size: int, data: st.DataObject
):
    axis = network.axis(size)
    possible = [tile_size for tile_size in tiles_of(axis, size) if axis.num_tiles(size, tile_size)]
    tile_size = data.draw(st.sampled_from(possible))
    spans = plan_axis(axis, size=size, tile_size=tile_size)
    assert len(spans) == axis.num_tiles(size, tile_size)
    done = 0
    for span in spans:
        assert span.start % network.stride == 0
        assert span.cells[0] == done < span.cells[1]
        assert span.kept[1] - span.kept[0] == span.cells[1] - span.cells[0]
        assert span.kept[0] + span.start // network.stride == span.cells[0]
        assert 0 <= span.start <= size - tile_size
        assert 0 <= span.kept[0] < span.kept[1] <= network.num_cells(tile_size)
        for cell in range(*span.cells):
            first, last = network.box(cell)
            assert max(first, 0) >= span.start
            assert min(last, size - 1) < span.start + tile_size
        done = span.cells[1]
    assert done == network.num_cells(size)
    assert (spans[0].start, spans[-1].start) == (0, size - tile_size)


@given(network=NETWORKS, size=st.integers(1, 300))
def test_num_tiles_is_the_least_that_covers(network: Padded, size: int):
    axis = network.axis(size)
    for tile_size in tiles_of(axis, size)[:-1]:
        num_tiles = axis.num_tiles(size, tile_size)
        kept = axis.num_cells_of(tile_size) - sum(axis.lost)
        if kept <= 0:
            assert num_tiles == 0
            continue
        # the tiles keep the cells at the image's own borders, too
        fewest = -(-(network.num_cells(size) - sum(axis.lost)) // kept)
        assert num_tiles == max(fewest, 2)


@pytest.mark.slow
@given(
    networks=st.tuples(NETWORKS, NETWORKS),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    budget=st.integers(1, 10_000),
    growth=st.tuples(*[st.integers(0, 5)] * 3),
)
def test_plan_tiles_takes_the_cheapest_grid_in_the_budget(
    networks: tuple[Padded, Padded],
    size: tuple[int, int],
    budget: int,
    growth: tuple[int, int, int],
):
    axes = networks[0].axis(size[0]), networks[1].axis(size[1])
    cost = TileCost((10**6, *growth), bytes_per_pixel=2)
    found = list(grids(axes, size, cost, budget))
    if not found:
        with pytest.raises(ConfigError, match=r"the smallest tiles .* more than the budget"):
            plan_tiles(size, axes, cost, memory_budget=budget)
        return
    plan = plan_tiles(size, axes, cost, memory_budget=budget)
    assert plan.num_bytes == 2 * plan.tile_size[0] * plan.tile_size[1] <= budget
    assert (plan.multiply_adds, plan.area) == min(found)
    assert plan == plan_tiles(size, axes, cost, memory_budget=budget)
    assert plan.num_cells == tuple(n.num_cells(side) for n, side in zip(networks, size, strict=True))


def test_an_image_that_fits_is_one_tile():
    axis = Padded(8, 186, 193).axis(512)
    plan = plan_tiles((512, 512), (axis, axis), TileCost((0, 0, 0, 1), 1), memory_budget=512 * 512)
    assert (plan.num_tiles, plan.area, plan.tile_cells) == (1, 512 * 512, (64, 64))


def test_a_smaller_budget_costs_more():
    axis = Padded(8, 186, 193).axis(1024)
    areas = [plan_of(axis, 1024, side**2).area for side in (1024, 768, 640, 512, 448)]
    assert areas == sorted(areas)
    assert len(set(areas)) == len(areas)


def test_a_tile_of_another_remainder_is_refused():
    axis = Padded(8, 16, 16).axis(100)
    with pytest.raises(ShapeError, match="give a size that differs by a multiple of 8"):
        plan_axis(axis, size=100, tile_size=80)


def test_a_tile_within_its_halo_is_refused():
    axis = Padded(8, 16, 16).axis(100)
    with pytest.raises(ShapeError, match=r"tiles of 28 px do not cover 100 px.*take larger ones"):
        plan_axis(axis, size=100, tile_size=28)


def test_a_tile_shorter_than_its_reflection_is_none():
    axis = TileAxis(1, 1, 50, 50, shortest=30)
    assert axis.num_tiles(50, 29) == 0
    assert axis.num_tiles(50, 30) == 2


def plan_of(axis: TileAxis, side: int, budget: int) -> TilePlan:
    return plan_tiles((side, side), (axis, axis), TileCost((0, 0, 0, 1), 1), memory_budget=budget)


def tiles_of(axis: TileAxis, size: int) -> list[int]:
    return list(range((size - 1) % axis.alignment + 1, size + 1, axis.alignment))


def grids(
    axes: tuple[TileAxis, TileAxis], size: tuple[int, int], cost: TileCost, budget: int
) -> Iterator[tuple[int, int]]:
    """Multiply-adds and area of every grid of tiles that there is."""
    once, rows, columns, both = cost.multiply_adds
    for height in tiles_of(axes[0], size[0]):
        for width in tiles_of(axes[1], size[1]):
            count = axes[0].num_tiles(size[0], height) * axes[1].num_tiles(size[1], width)
            if count and 2 * height * width <= budget:
                i = (height - axes[0].size) // axes[0].alignment
                j = (width - axes[1].size) // axes[1].alignment
                yield round(count * (once + rows * i + columns * j + both * i * j)), count * height * width
