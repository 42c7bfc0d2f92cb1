"""Random small networks of every rank, and the probe that shows which inputs move which outputs."""

from collections.abc import Sequence
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
MAX_POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE_POOLS = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
LINEAR_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}
IMAGE = torch.zeros(1, 3, 32, 40)
SIZES = {1: (29,), 2: (15, 13), 3: (9, 8, 7)}


class Lambda(nn.Module):
    """A forward written where it is used, with its layers."""

    def __init__(self, forward, *layers):
        super().__init__()
        self.layers, self.function = nn.ModuleList(layers), forward

    def forward(self, x: Tensor):
        return self.function(x, *self.layers)


def conv(channels: int = 3, kernel_size: Any = 3, **arguments: Any) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel_size, **arguments)


class Pad(nn.Module):
    """functional.pad with its own amounts, some of them negative."""

    def __init__(self, amounts: Sequence[int], mode: str) -> None:
        super().__init__()
        self.amounts, self.mode = tuple(amounts), mode

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, self.amounts, mode=self.mode)


class Branches(nn.Module):
    """Paths that keep the size, added or concatenated."""

    def __init__(self, *paths: nn.Module, join: str) -> None:
        super().__init__()
        self.paths, self.join = nn.ModuleList(paths), join

    def forward(self, x: Tensor) -> Tensor:
        values = [path(x) for path in self.paths]
        if self.join == "cat":
            return torch.cat(values, dim=1).sum(1, keepdim=True)
        return torch.stack(values).sum(0) if self.join == "stack" else values[0] + values[1]


class Step(nn.Module):
    """Every step-th cell from a start on, by slicing."""

    def __init__(self, start: int, step: int, rank: int) -> None:
        super().__init__()
        self.cut = (..., *[slice(start, None, step)] * rank)

    def forward(self, x: Tensor) -> Tensor:
        return x[self.cut]


@st.composite
def layers(draw: st.DrawFn, rank: int) -> nn.Module:
    """One layer or joined branches."""
    axis = lambda low, high: draw(st.tuples(*[st.integers(low, high)] * rank))  # noqa: E731
    match draw(st.integers(0, 8)):
        case 0 | 1:
            return CONVOLUTIONS[rank](1, 1, axis(1, 3), axis(1, 2), axis(0, 2), axis(1, 2), bias=False)
        case 2:
            kernel, ceil_mode = axis(2, 3), draw(st.booleans())
            padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
            return MAX_POOLS[rank](kernel, axis(1, 2), padding, draw(st.integers(1, 2)), ceil_mode=ceil_mode)
        case 3:
            return AVERAGE_POOLS[rank](axis(1, 3), axis(1, 2), ceil_mode=draw(st.booleans()))
        case 4:
            mode = draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
            least = 0 if mode == "circular" else -1
            return Pad(draw(st.lists(st.integers(least, 1), min_size=2 * rank, max_size=2 * rank)), mode)
        case 5:
            kernel, stride, dilation = axis(1, 4), axis(1, 2), axis(1, 2)
            return TRANSPOSED[rank](1, 1, kernel, stride, axis(0, 1), dilation=dilation, bias=False)
        case 6:
            mode = draw(st.sampled_from(["nearest", "nearest-exact", LINEAR_MODES[rank]]))
            factor = draw(st.sampled_from([2, 1.5]))
            corners = draw(st.booleans()) if mode == LINEAR_MODES[rank] else None
            return nn.Upsample(scale_factor=factor, mode=mode, align_corners=corners)
        case 7:
            return Step(draw(st.integers(0, 1)), 2, rank)
    paths = [
        CONVOLUTIONS[rank](1, 1, 3, padding=dilation, dilation=dilation, bias=False)
        for dilation in (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    ]
    return Branches(*paths, join=draw(st.sampled_from(["add", "cat", "stack"])))


@st.composite
def networks(draw: st.DrawFn, rank: int) -> nn.Sequential:
    """One to four layers whose weights are all positive, so that no influence cancels."""
    network = nn.Sequential(*draw(st.lists(layers(rank), min_size=1, max_size=4))).double()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 1.0)
    return network.requires_grad_(requires_grad=False)


def influence(network: nn.Module, size: Sequence[int]) -> Tensor:
    """Which outputs move when one input is poked, bool (*size, *output size)."""
    inputs = int(torch.tensor(size).prod())
    pokes = torch.eye(inputs, dtype=torch.float64).view(inputs, 1, *size)
    with torch.no_grad():
        moved = network(pokes) != network(torch.zeros_like(pokes[:1]))
    return moved[:, 0].view(*size, *moved.shape[2:])
