"""Tiled and whole: the same logits of any network, size and budget; with less halo, others."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError, GeometryError, ShapeError
from atrous.geometry.trace import trace
from atrous.inference.engine import Engine
from atrous.inference.engines import build_engine
from atrous.inference.tile_geometry import trace_for_tiles
from atrous.inference.tile_plan import Span, TileAxis, plan_tiles
from atrous.inference.tiles import Tiles, stages_of, tiled_rows
from atrous.models.catalog import CATALOG, FRONT_ENDS
from atrous.models.compact import CompactFrontEnd
from atrous.models.context import ContextModule
from atrous.models.contract import DenseNetwork
from atrous.models.dilated_net import DilatedNet
from atrous.surgery.dilate import dilate
from geometry.networks import Lambda, layers
from inference.networks import edgy

HEAVY = {"frontend_same", "frontend_light", *(name for name in CATALOG if name.startswith("dilation"))}
every_network = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in HEAVY else []) for name in CATALOG]
)
CPU = torch.device("cpu")
SIZE = 203, 62
ZEROS = torch.zeros(1, 1, 40, 40, dtype=torch.float64)


def run(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network(images)


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


@every_network
def test_catalog_networks_are_tiled_in_float64(name: str):
    case = case_of(name)
    size = case.images.shape[2], case.images.shape[3]
    tiles = Tiles(case.network, case.images, memory_budget=case.budget, staged=False)
    (plan,) = tiles.plan(size)
    assert plan.num_tiles > 1
    assert largest_error(tiles(case.images), case.whole) < 1e-13
    for cells in (-1, 1):
        rows = with_first_border_moved(plan.rows, case.axis, plan.tile_size[0], cells=cells)
        if rows is None:  # an unpadded network has no cells but those that see their whole halo
            assert 0 in case.axis.lost
            continue
        bad = tiled_rows(replace(plan, rows=rows), of_rows(case.images), partial(run, case.network))
        assert largest_error(torch.cat(list(bad), 2), case.whole) > 1e-12


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in HEAVY else []) for name in FRONT_ENDS]
)
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


@every_network
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


class Center(nn.Module):
    """Subtracts the mean over the map."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean((2, 3), keepdim=True)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (nn.Sequential(nn.Conv2d(1, 1, 3), Center()), r'"1" sees the whole axis \(mean over the axis\)'),
        (nn.GroupNorm(1, 1), r"sees the whole axis \(group_norm over positions\)"),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), "wraps round the axis"),
        (
            Lambda(lambda x: functional.interpolate(x, size=(8, 8))),
            r"\(upsample_nearest2d\) depends on the size",
        ),
        (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), "depends on the size"),
        (Lambda(lambda x: x[:, :, -5:]), r"\(slice\) depends on the size"),
        (Lambda(lambda x: x * x.shape[2]), r"\(mul\) depends on the size"),
        (Lambda(lambda x: functional.pad(x, (0, 0, 0, -x.shape[2] % 8))), "depends on the size"),
        (Lambda(lambda x: x + torch.linspace(0, 1, x.shape[3])), "reads a value for every position"),
        (Lambda(lambda x: x if x.shape[2] > 40 else x + 1), "other things to inputs of other sizes"),
    ],
)
def test_networks_that_are_not_the_same_on_a_part_are_refused(network: nn.Module, reason: str):
    with pytest.raises(GeometryError, match=f"{reason}.*run the network on the whole image"):
        Tiles(network, torch.zeros(1, 1, 40, 40), memory_budget=10**6)


def test_cells_that_read_nothing_are_refused():
    with pytest.raises(
        GeometryError, match=r"\(conv_transpose2d\) has cells that read nothing.*as its stride"
    ):
        Tiles(nn.ConvTranspose2d(1, 1, 1, stride=2), torch.zeros(1, 1, 40, 40), memory_budget=10**6)


def test_a_tile_leaves_every_layer_a_cell():
    network = nn.Sequential(nn.AvgPool2d(5, 1), nn.Conv2d(1, 1, 1, padding=2))
    assert trace_for_tiles(network, torch.zeros(1, 1, 40, 40)).axes[0].shortest == 5


def test_a_tile_holds_what_its_border_reflects():
    network = nn.Conv2d(1, 1, 9, padding=4, padding_mode="reflect")
    assert trace_for_tiles(network, torch.zeros(1, 1, 40, 40)).axes[0].shortest == 5


def test_outputs_that_are_no_map_are_refused():
    with pytest.raises(GeometryError, match=r"wrap it so that it returns one map"):
        Tiles(Lambda(lambda x: (x, x + 1)), ZEROS, memory_budget=10**6)
    with pytest.raises(GeometryError, match=r"tiles are cut from images \(b, c, h, w\)"):
        Tiles(nn.Conv1d(1, 1, 3), torch.zeros(1, 1, 40), memory_budget=10**6)


def test_budgets_that_hold_no_tile_are_refused():
    network = nn.Conv2d(1, 1, 3)
    with pytest.raises(ConfigError, match="holds nothing; give a positive number"):
        Tiles(network, ZEROS, memory_budget=0)
    tiles = Tiles(network.double(), ZEROS, memory_budget=100)
    with pytest.raises(ConfigError, match=r"smallest tiles of 50 x 50 px are 3 x 3 px and take 144"):
        tiles.plan((50, 50))


@pytest.fixture
def context_network() -> DilatedNet:
    torch.manual_seed(0)
    context = ContextModule(4, dilations=(1, 2, 4), noise=0.2)
    return DilatedNet(front_end=CompactFrontEnd(4, width=4), context=context).train()


@pytest.mark.parametrize(("budget", "num_bands"), [(60_000, 11), (200_000, 3), (10**6, 1)])
def test_rows_come_from_bands_in_order(context_network: DilatedNet, budget: int, num_bands: int):
    images, read = torch.randn(1, 3, *SIZE), list[slice]()
    tiles = Tiles(context_network, images, memory_budget=budget)

    def reading(rows: slice) -> Tensor:
        read.append(rows)
        return images[:, :, rows]

    rows = list(tiles.rows(SIZE, reading))
    plan = tiles.plan(SIZE)[0]
    spans = [slice(span.start, span.start + plan.tile_size[0]) for span in plan.rows]
    assert read == spans
    assert len(read) == num_bands
    assert context_network.training
    whole = run(context_network.eval(), images)
    torch.testing.assert_close(torch.cat(rows, 2), whole, rtol=1e-4, atol=1e-5)


def test_what_fits_is_one_tile_and_bitwise_the_whole(context_network: DilatedNet):
    images = torch.randn(2, 3, *SIZE)
    tiles = Tiles(context_network, images, memory_budget=10**8)
    (plan,) = tiles.plan(SIZE)
    assert plan.area == SIZE[0] * SIZE[1]
    assert plan.multiply_adds == sum(node.multiply_adds for node in trace(context_network, images))
    expected = torch.cat([run(context_network.eval(), image[None]) for image in images])
    assert torch.equal(tiles(images), expected)


def test_stages_are_cut_where_that_is_cheaper(context_network: DilatedNet):
    images = torch.zeros(1, 3, *SIZE)
    whole, staged = (
        Tiles(context_network, images, memory_budget=200_000, staged=staged).plan(SIZE)
        for staged in (False, True)
    )
    assert [len(whole), len(staged)] == [1, 2]
    assert (staged[1].size, staged[1].num_tiles) == (staged[0].num_cells, 1)
    assert sum(plan.multiply_adds for plan in staged) < whole[0].multiply_adds
    tile = trace(context_network, torch.zeros(1, 3, *whole[0].tile_size))
    assert whole[0].num_tiles > 1
    assert whole[0].multiply_adds == whole[0].num_tiles * sum(node.multiply_adds for node in tile)


def test_what_computes_is_built_once_for_the_part_that_is_tiled(context_network: DilatedNet):
    images, parts = torch.randn(1, 3, *SIZE), list[nn.Module]()

    def build(part: nn.Module) -> nn.Module:
        parts.append(part.eval())
        return part

    for budget, part in ((200_000, context_network.front_end), (10**9, context_network)):
        tiles = Tiles(context_network, images, memory_budget=budget, build=build)
        tiles(images)
        tiles(images)
        assert parts == [part]
        parts.clear()


def test_an_engine_of_another_network_is_refused(context_network: DilatedNet):
    tiles = Tiles(
        context_network, torch.zeros(1, 3, 64, 64), memory_budget=10**9, build=lambda _: nn.AvgPool2d(2)
    )
    with pytest.raises(ShapeError, match=r"a tile of 64 x 64 px became .* gives \(16, 16\) cells"):
        tiles(torch.zeros(1, 3, 64, 64))


def test_other_rows_than_were_asked_for_are_refused(context_network: DilatedNet):
    tiles = Tiles(context_network, torch.zeros(1, 3, 64, 64), memory_budget=10**9)
    with pytest.raises(ShapeError, match=r"read gave \(1, 3, 9, 64\) for 64 rows"):
        list(tiles.rows((64, 64), lambda _: torch.zeros(1, 3, 9, 64)))


@pytest.mark.parametrize("staged", [pytest.param(False, marks=pytest.mark.slow), True])
def test_openvino_computes_the_tiles(context_network: DilatedNet, staged: bool, tmp_path: Path):
    pytest.importorskip("openvino", reason="needs the extra openvino")
    network, images = context_network.eval(), torch.randn(1, 3, *SIZE)

    def build(part: DenseNetwork) -> Engine:
        return build_engine(part, engine="openvino", precision="float32", device=CPU, cache_folder=tmp_path)

    tiles = Tiles(network, images, memory_budget=200_000, build=build, staged=staged)
    assert len(tiles.plan(SIZE)) == 1 + staged
    torch.testing.assert_close(tiles(images), run(network, images), rtol=1e-4, atol=1e-4)
    assert len(list(tmp_path.glob("*.blob"))) == 1  # one size, compiled once
