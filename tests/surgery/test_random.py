"""Random networks of every rank, made dense: the proof holds, and other sizes are right as well."""

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from atrous.errors import GeometryError
from atrous.surgery.changes import subsample
from atrous.surgery.plan import plan_surgery
from atrous.surgery.verify import verify

CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
MAX_POOLS: dict[int, Any] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVG_POOLS: dict[int, Any] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
CONSTANT_PADS: dict[int, Any] = {1: nn.ConstantPad1d, 2: nn.ConstantPad2d, 3: nn.ConstantPad3d}
REFLECTION_PADS: dict[int, Any] = {1: nn.ReflectionPad1d, 2: nn.ReflectionPad2d, 3: nn.ReflectionPad3d}
SIZES = {1: ((67,), (70,)), 2: ((41, 36), (38, 43)), 3: ((17, 15, 18), (16, 18, 15))}


class Sum(nn.Module):
    """Two branches."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x) + self.second(x)


@st.composite
def layers(draw: st.DrawFn, rank: int) -> nn.Module:
    """One layer of two channels, or two branches."""
    axis = lambda low, high: draw(st.tuples(*[st.integers(low, high)] * rank))  # noqa: E731
    kernel, stride = axis(1, 4), draw(st.sampled_from([(1,) * rank, (2,) * rank, axis(1, 2)]))
    halves = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    match draw(st.integers(0, 7)):
        case 0 | 1:
            groups = draw(st.sampled_from([1, 2]))
            return CONVOLUTIONS[rank](2, 2, kernel, stride, axis(0, 2), axis(1, 2), groups=groups)
        case 2:
            return MAX_POOLS[rank](kernel, stride, halves, axis(1, 2), ceil_mode=draw(st.booleans()))
        case 3:
            flags = {"ceil_mode": draw(st.booleans()), "count_include_pad": draw(st.booleans())}
            return AVG_POOLS[rank](kernel, stride, halves, **flags)
        case 4:
            return CONSTANT_PADS[rank](draw(st.tuples(*[st.integers(-1, 2)] * (2 * rank))), 0.7)
        case 5:
            return REFLECTION_PADS[rank](draw(st.tuples(*[st.integers(0, 1)] * (2 * rank))))
        case 6:
            return nn.GroupNorm(1, 2)
    step = draw(st.integers(1, 2))
    short = AVG_POOLS[rank](step, step, ceil_mode=True)
    main = nn.Sequential(CONVOLUTIONS[rank](2, 2, 3, step, 1), nn.ReLU(), CONVOLUTIONS[rank](2, 2, 3, 1, 1))
    return Sum(main, short)


@pytest.mark.parametrize("rank", [1, *(pytest.param(rank, marks=pytest.mark.slow) for rank in (2, 3))])
@settings(max_examples=20)
@given(data=st.data())
def test_random_networks_keep_their_function(rank: int, data: st.DataObject):
    torch.manual_seed(0)
    stack = data.draw(st.lists(layers(rank), min_size=2, max_size=5))
    network = nn.Sequential(CONVOLUTIONS[rank](2, 2, 3, 2, 1), *stack).double().eval()
    example, other = (torch.randn(1, 2, *size, dtype=torch.float64) for size in SIZES[rank])
    try:
        expected = network(other)
        surgery = plan_surgery(network, example, output_stride=1)
    except (RuntimeError, GeometryError):  # too small for its kernels
        assume(False)
    dense = surgery.apply(network)
    verify(network, dense, example, surgery=surgery)
    torch.testing.assert_close(subsample(dense(other), surgery.spread), expected)
