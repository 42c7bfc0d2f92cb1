"""Dense pools against PyTorch's own, at the original's cells."""

from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from atrous.surgery.changes import Pool, subsample
from atrous.surgery.windows import DenseAxis

MAX_POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVG_POOLS: dict[int, Any] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
SIZES = {1: (23,), 2: (14, 17), 3: (9, 8, 11)}


@st.composite
def pools(draw: st.DrawFn, rank: int) -> tuple[dict[str, Any], int]:
    """A pool's numbers, and how dense its input is."""
    kernel_size = draw(st.integers(1, 4))
    numbers = {
        "kernel_size": kernel_size,
        "stride": draw(st.integers(1, 3)),
        "padding": draw(st.integers(0, kernel_size // 2)),
        "ceil_mode": draw(st.booleans()),
    }
    return numbers, draw(st.integers(1, 3 if rank < 3 else 2))


def axes(numbers: dict[str, Any], before: int, rank: int, dilation: int = 1) -> tuple[DenseAxis, ...]:
    """The whole stride goes into the spread."""
    axis = DenseAxis(
        numbers["kernel_size"],
        numbers["stride"],
        dilation,
        (numbers["padding"],) * 2,
        (before, before * numbers["stride"]),
        "ceil" if numbers["ceil_mode"] else "floor",
    )
    return (axis,) * rank


def compare(pool: nn.Module, change: Pool, rank: int) -> None:
    x = torch.randn(2, 3, *SIZES[rank], dtype=torch.float64)
    before, after = (tuple(axis.spread[i] for axis in change.axes) for i in (0, 1))
    grid = subsample(x, before)
    span = (change.axes[0].kernel_size - 1) * change.axes[0].dilation + 1
    assume(all(size + 2 * change.axes[0].padding[0] >= span for size in grid.shape[2:]))
    dense = change.apply_(pool)(x)
    assert dense.isfinite().all()
    torch.testing.assert_close(subsample(dense, after), pool(grid))


@pytest.mark.parametrize("rank", [1, 2, 3])
@given(data=st.data())
def test_dense_max_pool_keeps_the_function(rank: int, data: st.DataObject):
    numbers, before = data.draw(pools(rank))
    dilation = data.draw(st.integers(1, 2))
    pool = MAX_POOLS[rank](**numbers, dilation=dilation)
    compare(pool, Pool(axes(numbers, before, rank, dilation), is_max=True), rank)


@pytest.mark.parametrize("rank", [1, 2, 3])
@given(data=st.data())
def test_dense_average_pool_keeps_the_function(rank: int, data: st.DataObject):
    numbers, before = data.draw(pools(rank))
    counts = data.draw(st.booleans())
    divisor = data.draw(st.sampled_from([None, 7])) if rank > 1 else None
    given_divisor = {} if rank == 1 else {"divisor_override": divisor}
    pool = AVG_POOLS[rank](**numbers, count_include_pad=counts, **given_divisor)
    change = Pool(axes(numbers, before, rank), is_max=False, counts_padding=counts, divisor=divisor)
    compare(pool, change, rank)


def test_a_dense_pool_has_no_state_and_the_mode_of_the_old_one():
    axis = DenseAxis(3, 2, padding=(1, 1), spread=(2, 4))
    pool = Pool((axis, axis), is_max=True).apply_(nn.MaxPool2d(3).eval())
    assert not pool.state_dict()
    assert not pool.training
    assert "kernel_size=(3, 3), stride=(1, 1), dilation=(2, 2)" in repr(pool)
