"""Streamed and whole: the same outputs for any network, axis, border and size of chunk."""

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError, GeometryError, ShapeError
from atrous.inference.stream import Stream
from atrous.models.catalog import build_network
from geometry.networks import SIZES, Lambda, layers

LONG = {1: 61, 2: 33, 3: 19}
SMALL, LARGE = ("compact", "compact_context"), ("frontend_light", "dilation8_light")
STREAMED = [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]


def chunks_of(images: Tensor, sizes: list[int], dim: int) -> list[Tensor]:
    """Pieces along a dimension, of these sizes again and again."""
    pieces, start = [], 0
    while start < images.shape[dim]:
        stop = min(start + sizes[len(pieces) % len(sizes)], images.shape[dim])
        pieces.append(images.narrow(dim, start, stop - start))
        start = stop
    return pieces


def assert_same(network: nn.Module, stream: Stream, images: Tensor, sizes: list[int], dim: int = 2) -> None:
    """Streamed and whole agree."""
    with torch.no_grad():
        whole = network(images)
    streamed = torch.cat(list(stream.run(chunks_of(images, sizes, dim))), dim)
    torch.testing.assert_close(streamed, whole, rtol=1e-12, atol=1e-12)


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


@pytest.mark.parametrize("rank", [1, 2, 3])
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


class UNet(nn.Module):
    """Skips whose branches wait for each other, a transposed convolution, and batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.deep = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=4, dilation=4), nn.ReLU())
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.last = nn.Conv2d(8, 3, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        skip = self.down(x)
        return self.last(torch.cat([self.up(self.deep(skip)), skip], 1))


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


def test_a_saved_state_goes_on_in_another_stream():
    torch.manual_seed(0)
    network, images = UNet().double().eval(), torch.randn(1, 2, 40, 16, dtype=torch.float64)
    one, other = (Stream(network, images[:, :, :16]) for _ in range(2))
    first = one.push(images[:, :, :23])
    other.load_state_dict(one.state_dict())
    rest = [stream.push(images[:, :, 23:]) for stream in (one, other)]
    ends = [stream.flush() for stream in (one, other)]
    torch.testing.assert_close(rest[1], rest[0], rtol=0, atol=0)
    torch.testing.assert_close(
        torch.cat([first, rest[1], ends[1]], 2), network(images), rtol=1e-12, atol=1e-12
    )
    with pytest.raises(ConfigError, match="another network"):
        Stream(nn.Conv2d(2, 2, 3).double(), images).load_state_dict(one.state_dict())


@pytest.mark.parametrize(
    "network",
    [
        nn.Conv1d(2, 2, 3, padding=1),
        nn.ConvTranspose1d(2, 2, 5, 3),
        nn.ConstantPad1d((1, 3), 0.5),
        nn.LPPool1d(2, 3, stride=2),
        nn.Conv1d(2, 2, 3, padding=1, padding_mode="reflect"),
        nn.Sequential(nn.MaxPool1d(3, 2, ceil_mode=True), nn.Upsample(scale_factor=2, mode="linear")),
    ],
)
def test_a_state_of_any_moment_goes_on(network: nn.Module):
    samples = torch.randn(1, 2, 11, generator=torch.Generator().manual_seed(0)).double()
    network = network.double().eval()
    with torch.no_grad():
        whole = network(samples)
    for moment in range(12):
        one, other = (Stream(network, samples, axis=-1) for _ in range(2))
        pieces = [one.push(samples[..., index : index + 1]) for index in range(moment)]
        other.load_state_dict(one.state_dict())
        pieces += [other.push(samples[..., index : index + 1]) for index in range(moment, 11)]
        torch.testing.assert_close(torch.cat([*pieces, other.flush()], -1), whole, rtol=1e-12, atol=1e-12)


def test_a_state_of_another_kernel_or_axis_is_refused():
    images = torch.zeros(1, 1, 16, 16)
    state = Stream(nn.Conv2d(1, 1, 3, padding=1), images).state_dict()
    for network, axis in ((nn.Conv2d(1, 1, 5, padding=4), -2), (nn.Conv2d(1, 1, 3, padding=1), -1)):
        with pytest.raises(ConfigError, match="another network"):
            Stream(network, images, axis=axis).load_state_dict(state)


def test_a_stream_starts_anew():
    stream = Stream(nn.Conv1d(1, 1, 2), torch.zeros(1, 1, 8), axis=-1)
    stream.push(torch.zeros(1, 1, 5))
    stream.restart()
    assert stream.push(torch.zeros(1, 1, 3)).shape[-1] == 2


def test_what_sees_the_whole_axis_is_refused_by_name():
    class Squeeze(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean((2, 3), keepdim=True)

    network = nn.Sequential(nn.Conv2d(1, 1, 3), Squeeze())
    with pytest.raises(
        GeometryError, match=r'"1" sees the whole axis \(mean over the axis\).*stream along another'
    ):
        Stream(network, torch.zeros(1, 1, 16, 16))


def test_a_mean_over_the_other_axis_streams():
    network = Lambda(lambda x: x * x.mean(3, keepdim=True))
    images = torch.randn(1, 2, 17, 5, dtype=torch.float64)
    assert_same(network, Stream(network, images), images, [4])


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
