"""Tiled and whole: the same logits of any network, size and budget; with less halo, others."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError, GeometryError
from atrous.inference.tile_geometry import trace_for_tiles
from atrous.inference.tile_plan import Span, TileAxis, plan_tiles
from atrous.inference.tiles import Tiles, stages_of, tiled_rows
from atrous.models.catalog import CATALOG, FRONT_ENDS
from atrous.models.contract import DenseNetwork
from atrous.surgery.dilate import dilate
from geometry.networks import Lambda, layers
from inference.networks import edgy, run
from models.conftest import VARIANTS, on_meta

FAST = ("frontend", "compact", "compact_context")  # what is particular about the others is in these
TILED = [
    name for name in CATALOG if on_meta(name).num_axes == 2 and not on_meta(name).geometry.is_global
]  # of what sees all, `test_tile_refusals` has the refusal
# In deeper ones the farthest pixel weighs less than float64 rounds, and where maps are made finer again some
# cells see less than the halo.
SHARP = [name for name in TILED if name.startswith(("frontend", "dilation", "compact"))]


def over(names: Iterable[str]) -> pytest.MarkDecorator:
    marks = {name: [] if name in FAST else [pytest.mark.slow] for name in names}
    marks |= {name: [pytest.mark.slow, pytest.mark.exhaustive] for name in VARIANTS if name in marks}
    return pytest.mark.parametrize("name", [pytest.param(name, marks=marks[name]) for name in marks])


CPU = torch.device("cpu")
SIZE = 203, 62
ZEROS = torch.zeros(1, 1, 40, 40, dtype=torch.float64)


def of_rows(images: Tensor) -> Callable[[slice], Tensor]:
    return lambda rows: images[:, :, rows]


def largest_error(given: Tensor, expected: Tensor) -> float:
    """Relative, the largest of any cell; the logits of narrow networks are positive."""
    assert expected.min() > 0
    return float((given / expected - 1).abs().max())


def smallest_budget(network: nn.Module, images: Tensor) -> int:
    """Bytes of about the smallest tiles that the network's halo allows for images of this size."""
    geometry, size = trace_for_tiles(network, images), (images.shape[2], images.shape[3])
    for percent in range(5, 100, 5):
        budget = geometry.cost.bytes_of(size) * percent // 100
        try:
            plan_tiles(size, geometry.axes, geometry.cost, memory_budget=budget)
        except ConfigError:
            continue
        return budget
    raise AssertionError(f"an image of {size} is too small to be cut")


@dataclass(frozen=True)
class Case:
    """A network of the catalog, an image with inner tiles, and its logits."""

    network: DenseNetwork
    images: Tensor
    whole: Tensor
    axis: TileAxis
    budget: int


@cache
def case_of(name: str) -> Case:
    """Narrow, in float64; two columns of tiles where the halo is small."""
    torch.manual_seed(0)
    network = edgy(name)
    side = 24 + 2 * network.margin
    axis = trace_for_tiles(network, torch.zeros(1, 3, side, side, dtype=torch.float64)).axes[0]
    lost = sum(axis.lost) // axis.cells * axis.alignment
    size = side + 2 * lost + 51, 2 * network.margin + min(2 * lost, 72) + 13
    images = torch.rand(1, 3, *size, dtype=torch.float64)
    axis = trace_for_tiles(network, images).axes[0]
    return Case(network, images, run(network, images), axis, smallest_budget(network, images))


@pytest.mark.slow
@over(TILED)
def test_catalog_networks_are_tiled_in_float64(name: str):
    case = case_of(name)
    size = case.images.shape[2], case.images.shape[3]
    tiles = Tiles(case.network, case.images, memory_budget=case.budget, staged=False)
    (plan,) = tiles.plan(size)
    assert plan.num_tiles > 1
    assert largest_error(tiles(case.images), case.whole) < 1e-13


@pytest.mark.slow
@over(SHARP)
def test_no_tile_keeps_a_cell_less_than_it_may(name: str):
    case = case_of(name)
    tiles = Tiles(case.network, case.images, memory_budget=case.budget, staged=False)
    (plan,) = tiles.plan((case.images.shape[2], case.images.shape[3]))
    for cells in (-1, 1):
        rows = with_first_border_moved(plan.rows, case.axis, plan.tile_size[0], cells=cells)
        if rows is None:  # an unpadded network has no cells but those that see their whole halo
            assert 0 in case.axis.lost
            continue
        bad = tiled_rows(replace(plan, rows=rows), of_rows(case.images), partial(run, case.network))
        assert largest_error(torch.cat(list(bad), 2), case.whole) > 1e-12


@pytest.mark.slow
@over(FRONT_ENDS)
def test_networks_with_a_context_module_are_tiled_in_stages(name: str):
    case = case_of(name)
    tiles = Tiles(case.network, case.images, memory_budget=case.budget)
    plans = tiles.plan((case.images.shape[2], case.images.shape[3]))
    assert len(plans) == len(stages_of(case.network))
    assert plans[0].num_tiles > 1
    assert largest_error(tiles(case.images), case.whole) < 1e-13


def with_first_border_moved(
    rows: tuple[Span, ...], axis: TileAxis, tile_size: int, *, cells: int
) -> tuple[Span, ...] | None:
    """The second tile keeps so many cells more than it may, or the first; None if it has no more."""
    first, second, *others = rows
    offset = second.start // axis.alignment * axis.cells
    earliest, latest = offset + axis.lost[0], axis.num_cells_of(tile_size) - axis.lost[1]
    border = earliest + cells if cells < 0 else latest + cells
    if border < offset or border > axis.num_cells_of(tile_size):
        return None
    first = replace(first, kept=(first.kept[0], border), cells=(first.cells[0], border))
    second = replace(second, kept=(border - offset, second.kept[1]), cells=(border, second.cells[1]))
    return (first, second, *others)


@over(SHARP)
def test_the_halo_is_exact_to_a_pixel(name: str):
    network, images, axis = case_of(name).network, case_of(name).images, case_of(name).axis
    stride, noise = axis.alignment // axis.cells, torch.rand_like(images)

    def error(cell: int, less: tuple[int, int]) -> float:
        """Of a cell that sees its halo but for so many pixels above and below, and noise beyond."""
        first = cell * stride - axis.halo[0] + less[0]
        stop = (cell + 1) * stride + axis.halo[1] - less[1]
        assert 0 < first < stop < images.shape[2]
        inside = noise.clone()
        inside[:, :, first:stop] = images[:, :, first:stop]
        return largest_error(run(network, inside)[:, :, cell], case_of(name).whole[:, :, cell])

    start = -(-axis.halo[0] // axis.alignment) * axis.cells + axis.cells
    cells = range(start, start + axis.cells)  # where logits are upsampled, some see less than others
    assert max(error(cell, (0, 0)) for cell in cells) < 1e-13
    assert max(error(cell, (1, 0)) for cell in cells) > 1e-12
    assert max(error(cell, (0, 1)) for cell in cells) > 1e-12


def random_network_is_tiled(data: st.DataObject) -> None:
    torch.manual_seed(data.draw(st.integers(0, 3)))
    network = nn.Sequential(*data.draw(st.lists(layers(2), min_size=1, max_size=5))).double().eval()
    size = data.draw(st.integers(30, 70)), data.draw(st.integers(30, 70))
    images = torch.randn(1, 1, *size, dtype=torch.float64)
    try:
        whole = run(network, images)
        budget = trace_for_tiles(network, ZEROS).cost.bytes_of(size)
        tiles = Tiles(network, ZEROS, memory_budget=int(budget / data.draw(st.sampled_from([1.5, 2, 4, 8]))))
        (plan,) = tiles.plan(size)
    except (RuntimeError, GeometryError, ConfigError):  # too small, circular, of its size, or all halo
        assume(False)
    assert plan.num_tiles > 1
    torch.testing.assert_close(tiles(images), whole, rtol=1e-11, atol=1e-11)


@settings(max_examples=8)
@given(data=st.data())
def test_random_networks_are_tiled(data: st.DataObject):
    random_network_is_tiled(data)


@pytest.mark.slow
@settings(max_examples=500)
@given(data=st.data())
def test_many_random_networks_are_tiled(data: st.DataObject):
    random_network_is_tiled(data)


def padded_to(multiple: int) -> Lambda:
    """Pads what is missing to a multiple of its stride, as encoders and decoders do."""

    def forward(x: Tensor, down: nn.Module, up: nn.Module) -> Tensor:
        height, width = x.shape[2:]
        padded = functional.pad(x, (0, -width % multiple, 0, -height % multiple), mode="reflect")
        return up(down(padded))[:, :, :height, :width] + x

    return Lambda(
        forward, nn.Conv2d(1, 1, 3, multiple, padding=1), nn.ConvTranspose2d(1, 1, multiple, multiple)
    )


NETWORKS: dict[str, nn.Module] = {
    "reflected": nn.Conv2d(1, 1, 9, padding=4, padding_mode="reflect"),
    "cropped, then padded": Lambda(lambda x, conv: conv(x[:, :, 5:-4, 3:]), nn.Conv2d(1, 1, 5, padding=2)),
    "padded to its stride": padded_to(4),
    "made dense": dilate(
        nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.MaxPool2d(3, 2, 1), nn.Conv2d(2, 2, 3, 2, 1)),
        torch.zeros(1, 1, 32, 32),
        output_stride=2,
    ),
    "with zeros of its size": Lambda(lambda x: x + torch.zeros_like(x[:, :1])),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [pytest.param((47, 52), marks=pytest.mark.slow), (64, 33)])
def test_networks_of_every_kind_are_tiled(name: str, size: tuple[int, int]):
    torch.manual_seed(0)
    network = NETWORKS[name].double().eval()
    images = torch.randn(2, 1, *size, dtype=torch.float64)
    tiles = Tiles(network, images, memory_budget=smallest_budget(network, images))
    assert tiles.plan(size)[0].num_tiles > 2
    torch.testing.assert_close(tiles(images), run(network, images), rtol=1e-12, atol=1e-12)


def test_a_tile_leaves_every_layer_a_cell():
    network = nn.Sequential(nn.AvgPool2d(5, 1), nn.Conv2d(1, 1, 1, padding=2))
    assert trace_for_tiles(network, torch.zeros(1, 1, 40, 40)).axes[0].shortest == 5


def test_a_tile_holds_what_its_border_reflects():
    network = nn.Conv2d(1, 1, 9, padding=4, padding_mode="reflect")
    assert trace_for_tiles(network, torch.zeros(1, 1, 40, 40)).axes[0].shortest == 5
