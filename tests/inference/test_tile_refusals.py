"""What is not the same on a part of its input as on the whole is refused by name."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError, GeometryError
from atrous.inference.tiles import Tiles
from geometry.networks import Lambda

ZEROS = torch.zeros(1, 1, 40, 40, dtype=torch.float64)


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
