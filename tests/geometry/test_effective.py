"""The effective receptive field against the theoretical one, and against gradients known in closed form."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atrous.errors import GeometryError, ShapeError
from atrous.geometry.coverage import coverage
from atrous.geometry.effective import EffectiveReceptiveField, effective_receptive_field
from atrous.geometry.receptive_field import receptive_field

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
SIZES = {1: (41,), 2: (27, 23), 3: (13, 12, 11)}


def small(rank):
    """A strided network with a gap in its field, a dropout and a normalization."""
    torch.manual_seed(0)
    conv = CONVOLUTIONS[rank]
    return nn.Sequential(
        nn.ReLU(inplace=True),
        conv(2, 4, 3, stride=2, padding=1),
        (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[rank - 1](4),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        conv(4, 3, 3, padding=3, dilation=3),
    )


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_no_mass_lies_outside_the_theoretical_field(rank):
    network, example = small(rank), torch.zeros(1, 2, *SIZES[rank])
    found = effective_receptive_field(network, example, samples=4)
    assert found.mass.shape == SIZES[rank]
    assert found.mass.sum() == pytest.approx(1)
    box = receptive_field(network, example).box(found.cell)
    inside = np.zeros(SIZES[rank], bool)
    inside[tuple(slice(max(int(a), 0), int(b) + 1) for a, b in box)] = True
    assert (found.mass[~inside] == 0).all()
    seen = coverage(network, example, cell=found.cell)
    holes = tuple(seen.holes.T)
    assert len(seen.holes)
    assert (found.mass[holes] == 0).all()


def test_mass_of_a_linear_network_of_ones_is_the_density_of_paths():
    network = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=d, dilation=d, bias=False) for d in (1, 2)))
    for parameter in network.parameters():
        nn.init.ones_(parameter)
    example = torch.zeros(1, 1, 9, 11)
    found, expected = effective_receptive_field(network, example, samples=1), coverage(network, example)
    assert (found.cell, found.center) == ((4, 5), (4.0, 5.0))
    np.testing.assert_allclose(found.mass[1:8, 2:9], expected.density, atol=1e-7)


def test_mass_is_the_mean_of_absolute_gradients():
    network = small(2).double().eval()
    images = torch.randn(3, 2, 8, 9, dtype=torch.float64)
    expected = torch.zeros(8, 9, dtype=torch.float64)
    for image in images:
        given = image[None].clone().requires_grad_()
        network(given * 1)[0, :, 2, 2].sum().backward()
        assert given.grad is not None
        expected += given.grad[0].abs().sum(0)
    found = effective_receptive_field(network, images[:1], images=images)
    assert found.cell == (2, 2)
    np.testing.assert_allclose(found.mass, expected / expected.sum())


def test_share_and_radius_are_inverse():
    mass = np.zeros((5, 5))
    mass[2, 2], mass[2, 3], mass[0, 2], mass[4, 4] = 0.5, 0.25, 0.125, 0.125
    field = EffectiveReceptiveField(mass, cell=(2, 2), center=(2.0, 2.0))
    assert [field.share(r) for r in (-1, 0, 0.99, 1, 2, 2.8, 9)] == [0, 0.5, 0.5, 0.75, 0.875, 0.875, 1]
    assert [field.radius(s) for s in (0.1, 0.5, 0.6, 0.75, 0.8, 1)] == [0, 0, 1, 1, 2, pytest.approx(8**0.5)]
    for share in (0, -0.1, 1.01):
        with pytest.raises(GeometryError, match="above 0 and at most 1"):
            field.radius(share)


def test_center_is_between_pixels_where_the_field_is_even():
    network = nn.Sequential(nn.Conv1d(1, 1, 2, bias=False), nn.AvgPool1d(2))
    found = effective_receptive_field(network, torch.zeros(1, 1, 9), samples=1)
    assert (found.cell, found.center) == ((2,), (5.0,))
    wide = effective_receptive_field(nn.Conv1d(1, 1, 4, stride=4), torch.zeros(1, 1, 12), samples=1)
    assert (wide.cell, wide.center) == ((1,), (5.5,))
    assert wide.share(0.5) < wide.share(1.5) == 1


def test_radius_of_deep_random_networks_grows_with_the_square_root_of_depth():  # Luo et al. 2016, section 2
    def radius(depth):
        torch.manual_seed(0)
        network = nn.Sequential(*(nn.Conv1d(1, 1, 3, padding=1, bias=False) for _ in range(depth)))
        for parameter in network.parameters():
            nn.init.uniform_(parameter, 0, 1)
        return effective_receptive_field(network, torch.zeros(1, 1, 201), samples=1).radius(0.955)

    assert radius(64) / radius(16) == pytest.approx(math.sqrt(64 / 16), rel=0.2)


def test_the_network_stays_as_it_was():
    network = small(2).train()
    network[1].eval()
    network[1].weight.requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        effective_receptive_field(network, torch.zeros(1, 2, 9, 9), samples=2)
    assert [m.training for m in network] == [True, False, True, True, True, True]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert [p.requires_grad for p in network[1].parameters()] == [False, True]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_the_same_seed_gives_the_same_mass():
    def measure(seed):
        return effective_receptive_field(small(2), torch.zeros(1, 2, 9, 9), samples=2, seed=seed).mass

    np.testing.assert_array_equal(measure(3), measure(3))
    assert (measure(3) != measure(4)).any()


class Classifier(nn.Module):
    """A map, and from it a vector, in a dict as some libraries return it."""

    def __init__(self) -> None:
        super().__init__()
        self.features = small(2)
        self.head = nn.Linear(3, 5)

    def forward(self, images: Tensor) -> dict[str, Any]:
        features = self.features(images)
        return {"out": self.head(features.mean((2, 3))), "features": features}


def test_layer_asks_about_its_map_and_a_vector_about_all_of_it():
    network, example = Classifier(), torch.zeros(1, 2, 12, 10)
    whole = effective_receptive_field(network, example, samples=2)
    assert (whole.cell, whole.center) == ((), (5.5, 4.5))
    assert (whole.mass > 0).mean() > 0.9
    of_map = effective_receptive_field(network, example, samples=2, layer="features")
    alone = effective_receptive_field(network.features, example, samples=2)
    np.testing.assert_array_equal(of_map.mass, alone.mass)
    assert of_map.cell == (3, 2)
    assert of_map.center == alone.center


def test_effective_receptive_field_refuses_what_has_none():
    example = torch.zeros(1, 2, 9, 9)
    with pytest.raises(GeometryError, match='no layer "fc"'):
        effective_receptive_field(small(2), example, layer="fc")
    with pytest.raises(GeometryError, match="give at least 1"):
        effective_receptive_field(small(2), example, samples=0)
    with pytest.raises(GeometryError, match="no gradient reaches the input"):
        effective_receptive_field(small(2), example, images=-torch.ones(1, 2, 9, 9))
    with pytest.raises(ShapeError, match=r"\(1, 3, 9, 9\) do not fit an example of \(1, 2, 9, 9\)"):
        effective_receptive_field(small(2), example, images=torch.zeros(1, 3, 9, 9))
