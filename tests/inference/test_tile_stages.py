"""Tiles in bands, in stages, and through engines: what is computed, when, and by what."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from atrous.errors import ShapeError
from atrous.geometry.trace import trace
from atrous.inference.engine import Engine
from atrous.inference.engines import build_engine
from atrous.inference.tiles import Tiles
from atrous.models.compact import CompactFrontEnd
from atrous.models.context import ContextModule
from atrous.models.contract import DenseNetwork
from atrous.models.dilated_net import DilatedNet
from inference.networks import run

CPU = torch.device("cpu")


SIZE = 203, 62


@pytest.fixture
def context_network() -> DilatedNet:
    torch.manual_seed(0)
    context = ContextModule(4, dilations=(1, 2, 4), noise=0.2)
    return DilatedNet(front_end=CompactFrontEnd(4, width=4), context=context).train()


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
@pytest.mark.slow
def test_openvino_computes_the_tiles(context_network: DilatedNet, staged: bool, tmp_path: Path):
    pytest.importorskip("openvino", reason="needs the extra openvino")
    network, images = context_network.eval(), torch.randn(1, 3, *SIZE)

    def build(part: DenseNetwork) -> Engine:
        return build_engine(part, engine="openvino", precision="float32", device=CPU, cache_folder=tmp_path)

    tiles = Tiles(network, images, memory_budget=200_000, build=build, staged=staged)
    assert len(tiles.plan(SIZE)) == 1 + staged
    torch.testing.assert_close(tiles(images), run(network, images), rtol=1e-4, atol=1e-4)
    assert len(list(tmp_path.glob("*.blob"))) == 1  # one size, compiled once
