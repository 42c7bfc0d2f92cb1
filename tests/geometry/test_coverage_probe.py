"""Coverage inside real borders against networks that run: pokes show what is seen, gradients how often."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from atrous.errors import GeometryError
from atrous.geometry.coverage import coverage
from atrous.geometry.trace import trace
from geometry.networks import SIZES, influence, networks


def inside(found, values, size):
    """The box of the coverage as an array over the whole input."""
    whole = np.zeros(size, values.dtype)
    whole[tuple(slice(a, a + n) for a, n in zip(found.start, values.shape, strict=True))] = values
    return whole


@pytest.mark.slow
@pytest.mark.parametrize("rank", [1, *(pytest.param(rank, marks=pytest.mark.slow) for rank in (2, 3))])
@settings(max_examples=25)
@given(data=st.data())
def test_coverage_is_what_pokes_move(rank, data):
    network, size = data.draw(networks(rank)), SIZES[rank]
    try:
        moved = influence(network, size)
    except (RuntimeError, AssertionError):
        assume(False)  # a kernel larger than what is left of the input
        return
    outputs = moved.shape[rank:]
    assume(0 not in outputs)
    graph = trace(network, torch.zeros(1, 1, *size, dtype=torch.float64))
    corners = [(0,) * rank, tuple(n - 1 for n in outputs), tuple(n // 2 for n in outputs)]
    for cell in (*corners, tuple(data.draw(st.integers(0, n - 1)) for n in outputs)):
        read = moved[(..., *cell)].numpy()
        if read.any():
            found = coverage(graph, cell=cell)
            np.testing.assert_array_equal(inside(found, found.seen, size), read)
        else:
            with pytest.raises(GeometryError, match="only zeros"):
                coverage(graph, cell=cell)


class Residual(nn.Module):
    """A strided shortcut beside two layers with gaps, as in a ResNet; weights all 1."""

    def __init__(self, mode: Any) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 1, 3, 2, padding=2, dilation=2, padding_mode=mode, bias=False)
        self.second = nn.Conv2d(1, 1, (3, 1), padding=(1, 0), padding_mode=mode, bias=False)
        self.shortcut = nn.Conv2d(1, 1, 1, 2, bias=False)
        self.up = nn.ConvTranspose2d(1, 1, 4, 2, 1, bias=False)
        self.pool = nn.AvgPool2d(3, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        values = self.pool(self.second(self.first(images)) + self.shortcut(images))
        return self.up(nn.functional.interpolate(values, scale_factor=2))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("cell", [(0, 0), (0, 21), (16, 3), (35, 43)])
def test_density_is_the_gradient_of_a_network_of_ones(mode, cell):
    network = Residual(mode).double()
    for parameter in network.parameters():
        nn.init.ones_(parameter)
    images = torch.zeros(1, 1, 18, 22, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(images)[0, 0][cell], images)
    found = coverage(network, images.detach(), cell=cell)
    expected = (gradient / gradient.sum())[0, 0].numpy()
    np.testing.assert_allclose(inside(found, found.density, (18, 22)), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 5)),
        nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Flatten(), nn.Linear(2 * 8 * 9, 5)),
    ],
)
def test_a_classifier_has_the_coverage_of_its_last_map(network):
    found = coverage(network, torch.zeros(1, 1, 8, 9), cell=(7, 0))
    assert found.sees_all == (True, True)
    assert (found.start, found.seen.shape) == ((6, 0), (2, 2))
