"""Streamed and whole: the same outputs for any network, axis, border and size of chunk."""

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError, GeometryError
from atrous.inference.stream import Stream
from atrous.models.catalog import build_network
from geometry.networks import SIZES, Lambda, layers
from inference.networks import UNet
from inference.streaming import assert_same
from models.conftest import narrow_

LONG = {1: 61, 2: 33, 3: 19}
SMALL, LARGE = ("compact", "compact_context"), ("frontend_light", "dilation8_light")
STREAMED = [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]


def random_network_streams(rank: int, data: st.DataObject) -> None:
    torch.manual_seed(data.draw(st.integers(0, 3)))
    network = nn.Sequential(*data.draw(st.lists(layers(rank), min_size=1, max_size=5))).double().eval()
    axis = data.draw(st.integers(0, rank - 1))
    size = list(SIZES[rank])
    size[axis] = LONG[rank] + data.draw(st.integers(0, 9))
    images = torch.randn(1, 1, *size, dtype=torch.float64)
    sizes = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=3))
    length = data.draw(st.sampled_from([None, size[axis]]))
    try:
        with torch.no_grad():
            network(images)
        stream = Stream(network, images, axis=axis + 2, length=length)
    except (
        RuntimeError,
        GeometryError,
        ConfigError,
    ):  # too small for its kernels, circular, or needs the length
        assume(False)
    assert_same(network, stream, images, sizes, axis + 2)


@pytest.mark.parametrize("rank", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
@settings(max_examples=12)
@given(data=st.data())
def test_random_networks_stream_as_they_run(rank: int, data: st.DataObject):
    random_network_streams(rank, data)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [1, 2, 3])
@settings(max_examples=250)
@given(data=st.data())
def test_many_random_networks_stream_as_they_run(rank: int, data: st.DataObject):
    random_network_streams(rank, data)


class Residual(nn.Module):
    """Writes in place into what both branches read."""

    def __init__(self, *, stride: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.body = nn.Sequential(
            nn.Conv2d(2, 2, 3, stride, 1), nn.ReLU(inplace=True), nn.Conv2d(2, 2, 3, 1, 1)
        )
        self.short = nn.AvgPool2d(3, stride, 1, ceil_mode=False, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.silu(self.norm(x), inplace=True)
        out = self.body(x)
        out += self.short(x)
        return torch.sigmoid_(out)


class Tokens(nn.Module):
    """Layer norm and a linear layer over flattened positions, as in ConvNeXt's blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.mix = nn.LayerNorm(2), nn.Linear(2, 8)
        self.last = nn.Conv2d(4, 2, (1, 3), padding="same")

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        tokens = self.mix(self.norm(x.flatten(2).transpose(1, 2)))
        first, second = tokens.transpose(1, 2).unflatten(2, (height, width)).chunk(2, dim=1)
        return self.last(first * torch.softmax(second, 1)) + torch.ones_like(x)


class Shuffled(nn.Module):
    """Sub-pixel convolution there and back."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.pixel_shuffle(functional.pixel_unshuffle(x, 2).relu(), 2)


NETWORKS = {
    "unet": UNet(),
    "residual": nn.Sequential(
        Residual(stride=2), Residual(stride=1), nn.Upsample(scale_factor=2, mode="bilinear")
    ),
    "tokens": Tokens(),
    "shuffled": nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.PixelShuffle(1), Shuffled()),
    "bicubic": nn.Sequential(nn.Upsample(scale_factor=2, mode="bicubic"), nn.Conv2d(2, 2, 2, padding=1)),
    "cropped": Lambda(lambda x: x[:, :, 3:-2, 1:] * x[:, :1, 2:-3, :-1].flip(1)),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dim", [2, 3])
def test_networks_of_every_kind_stream(name: str, dim: int):
    torch.manual_seed(0)
    network = NETWORKS[name].double().train()
    images = torch.randn(2, 2, 24, 20, dtype=torch.float64)
    with torch.no_grad():
        network(images)  # gives batch norms statistics
    network.eval()
    if name == "tokens" and dim == 3:
        with pytest.raises(GeometryError, match="puts the axis inside of other positions"):
            Stream(network, images, axis=dim)
        return
    stream = Stream(network, images.narrow(dim, 0, 16), axis=dim)
    for sizes in ([1], [5, 2], [64]):
        assert_same(network, stream, images, sizes, dim)


@pytest.mark.parametrize("name", STREAMED)
def test_catalog_networks_stream_in_float64(name: str):
    torch.manual_seed(0)
    network = build_network(name, num_classes=3).double().eval()
    images = torch.randn(1, 3, 61, 40, dtype=torch.float64)
    stream = Stream(network, images[:, :, :48])
    assert_same(network, stream, images, [17])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fcn8s", "deeplab_v1", "deeplab_v2_msc", "unet", "unet_valid"])
@pytest.mark.parametrize("height", [150, 133])
def test_networks_that_join_scales_stream_for_a_given_length(name: str, height: int):
    with torch.device("meta"):
        network = build_network(name, num_classes=1)
    network = narrow_(network)
    sides = height + 2 * network.margin, 61 + 2 * network.margin
    images = torch.randn(1, 3, *sides, dtype=torch.float64)
    assert_same(network, Stream(network, images, length=sides[0]), images, [7, 33, 1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["frontend", "dilation8", "dilation8_large", "dilation7_kitti", "dilation8_voc"]
)
def test_large_catalog_networks_stream(name: str):
    torch.manual_seed(0)
    network = build_network(name, num_classes=3).eval()
    images = torch.randn(1, 3, 372 + 77, 372 + 16)
    stream = Stream(network, images)
    streamed = torch.cat(list(stream.run(images.split(100, 2))), 2)
    with torch.no_grad():
        torch.testing.assert_close(streamed, network(images), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_network_that_crops_to_its_input_needs_the_length():
    network = build_network("dilation10_cityscapes", num_classes=3).eval()
    images = torch.randn(1, 3, 372 + 45, 372 + 16)
    with pytest.raises(ConfigError, match=r"depends on the size of the input; give that size .* as length="):
        Stream(network, images[:, :, :400])
    stream = Stream(network, images[:, :, :400], length=images.shape[2])
    streamed = torch.cat(list(stream.run(images.split(64, 2))), 2)
    with torch.no_grad():
        torch.testing.assert_close(streamed, network(images), rtol=1e-4, atol=1e-5)


def test_a_stream_keeps_what_its_kernels_still_need_and_nothing_else():
    convs = [nn.Conv1d(2, 2, 3, dilation=dilation) for dilation in (1, 2, 4, 8)]
    stream = Stream(nn.Sequential(*convs), torch.zeros(1, 2, 64), axis=-1)
    for chunk in torch.randn(1, 2, 200).split(20, -1):
        stream.push(chunk)
    assert stream.num_bytes == sum(2 * dilation for dilation in (1, 2, 4, 8)) * 2 * 4
    assert (stream.received, stream.returned) == (200, 200 - 30)


def test_every_convolution_computes_every_cell_once(monkeypatch: pytest.MonkeyPatch):
    rows = []

    def counted(x: Tensor, *arguments: Any) -> Tensor:
        y = conv2d(x, *arguments)
        rows.append(y.shape[2])
        return y

    conv2d = functional.conv2d
    monkeypatch.setitem(
        __import__("atrous.inference.stream_windows", fromlist=["x"])._CONVOLUTIONS, 2, counted
    )
    network = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, 2, 2, dilation=2)).eval()
    stream = Stream(network, torch.zeros(1, 1, 32, 8))
    list(stream.run(torch.randn(1, 1, 70, 8).split(3, 2)))
    assert sum(rows) == 70 + 35


def test_an_output_comes_with_the_chunk_that_completes_it():
    stream = Stream(nn.Conv1d(1, 1, 3, padding=2, dilation=2), torch.zeros(1, 1, 16), axis=-1)
    sizes = [stream.push(torch.zeros(1, 1, size)).shape[-1] for size in (1, 1, 1, 4)]
    assert (sizes, stream.flush().shape[-1]) == ([0, 0, 1, 4], 2)


def test_a_stream_starts_anew():
    stream = Stream(nn.Conv1d(1, 1, 2), torch.zeros(1, 1, 8), axis=-1)
    stream.push(torch.zeros(1, 1, 5))
    stream.restart()
    assert stream.push(torch.zeros(1, 1, 3)).shape[-1] == 2


def test_a_mean_over_the_other_axis_streams():
    network = Lambda(lambda x: x * x.mean(3, keepdim=True))
    images = torch.randn(1, 2, 17, 5, dtype=torch.float64)
    assert_same(network, Stream(network, images), images, [4])
