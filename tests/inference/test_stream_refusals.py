"""What cannot be streamed is refused by name, with the way out."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError, GeometryError, ShapeError
from atrous.inference.stream import Stream
from geometry.networks import Lambda
from inference.streaming import assert_same


def test_what_sees_the_whole_axis_is_refused_by_name():
    class Squeeze(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean((2, 3), keepdim=True)

    network = nn.Sequential(nn.Conv2d(1, 1, 3), Squeeze())
    with pytest.raises(
        GeometryError, match=r'"1" sees the whole axis \(mean over the axis\).*stream along another'
    ):
        Stream(network, torch.zeros(1, 1, 16, 16))


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Lambda(lambda x: functional.interpolate(x, size=(8, 8))), "resizes to a size"),
        (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), "aligns corners"),
        (
            Lambda(lambda x: x + torch.linspace(0, 1, x.shape[2], dtype=x.dtype)[:, None]),
            "depends on the size|every",
        ),
        (Lambda(lambda x: x[:, :, -5:]), "counts from the end"),
        (Lambda(lambda x: functional.pad(x, (0, 0, 0, -x.shape[2] % 8))), "depends on the size"),
    ],
)
def test_networks_that_depend_on_the_size_ask_for_it(network: nn.Module, reason: str):
    images = torch.randn(1, 1, 27, 6, dtype=torch.float64)
    with pytest.raises(ConfigError, match=f"({reason}).*length="):
        Stream(network, images[:, :, :12])
    assert_same(network, Stream(network, images[:, :, :12], length=27), images, [4, 1])


def test_writing_into_a_part_of_a_value_is_refused():
    class Writes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            y[:, :1].relu_()
            return y

    with pytest.raises(GeometryError, match=r"writing into a part.*concatenate the parts"):
        Stream(Writes(), torch.zeros(1, 2, 8, 8))


def test_wrong_chunks_are_refused_in_a_line():
    stream = Stream(nn.Conv2d(1, 1, 3), torch.zeros(1, 1, 8, 8), length=9)
    with pytest.raises(ShapeError, match=r"only dimension 2 may differ"):
        stream.push(torch.zeros(1, 1, 3, 9))
    stream.push(torch.zeros(1, 1, 4, 8))
    with pytest.raises(ShapeError, match=r"ends after 4 of 9 cells"):
        stream.flush()
    with pytest.raises(ShapeError, match=r"10 cells of an input of length 9"):
        stream.push(torch.zeros(1, 1, 6, 8))
    stream.push(torch.zeros(1, 1, 5, 8))
    stream.flush()
    with pytest.raises(ShapeError, match="has ended"):
        stream.push(torch.zeros(1, 1, 1, 8))


def test_inputs_too_short_for_the_network_are_refused():
    stream = Stream(nn.Conv2d(1, 1, 5), torch.zeros(1, 1, 8, 8))
    stream.push(torch.zeros(1, 1, 3, 8))
    with pytest.raises(ShapeError, match=r"no output for 3 cells along the axis; give a longer input"):
        stream.flush()


def test_an_axis_that_is_not_spatial_is_refused():
    with pytest.raises(ConfigError, match="is not spatial"):
        Stream(nn.Conv2d(1, 1, 3), torch.zeros(1, 1, 8, 8), axis=1)
