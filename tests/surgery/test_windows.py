"""One axis of a layer, before and after: against counting windows, without torch's operators."""

from hypothesis import assume, given
from hypothesis import strategies as st

from atrous.surgery.windows import DenseAxis, Rounding


@st.composite
def dense_axes(draw: st.DrawFn, roundings: tuple[Rounding, ...] = ("floor", "ceil", "same")) -> DenseAxis:
    """A layer whose stride goes into the spread, wholly or in part."""
    kernel_size = draw(st.integers(1, 5))
    stride = draw(st.sampled_from([1, 1, 2, 2, 3, 4]))
    before = draw(st.sampled_from([1, 2, 4]))
    removed = draw(st.sampled_from([step for step in (1, 2, 3, 4) if stride % step == 0]))
    rounding = draw(st.sampled_from(roundings))
    first, last = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    zeros = min(first, kernel_size // 2)
    padding = (first, last) if rounding == "floor" else (zeros, zeros) if rounding == "ceil" else (0, 0)
    dilation = draw(st.integers(1, 2))
    return DenseAxis(kernel_size, stride, dilation, padding, (before, before * removed), rounding)


def windows(axis: DenseAxis, size: int) -> list[list[int]]:
    """The original's windows, cell by cell: the positions inside the input that each reads."""
    before, after = axis.original_padding(size)
    span = axis.dilation * (axis.kernel_size - 1) + 1
    starts = []
    start = -before
    while start + span <= size + after or (
        axis.rounding == "ceil" and start < size and start + span - axis.stride < size + after
    ):
        starts.append(start)
        start += axis.stride
    return [
        [
            first + tap * axis.dilation
            for tap in range(axis.kernel_size)
            if 0 <= first + tap * axis.dilation < size
        ]
        for first in starts
    ]


@given(dense_axes(), st.integers(1, 24))
def test_every_original_window_is_a_dense_window_and_none_is_missing(axis: DenseAxis, dense_size: int):
    size = -(-dense_size // axis.spread[0])
    original = windows(axis, size)
    assume(original)
    assert axis.original_cells(size) == len(original)
    cells = axis.dense_size(dense_size)
    assert -(-cells // axis.spread[1]) == len(original)
    before, after = axis.fitting(dense_size)
    span = axis.dense_dilation * (axis.kernel_size - 1) + 1
    assert (dense_size + before + after - span) // axis.dense_stride + 1 == cells
    for cell, window in enumerate(original):
        first = cell * axis.spread[1] * axis.dense_stride - before
        taps = [first + tap * axis.dense_dilation for tap in range(axis.kernel_size)]
        assert [tap for tap in taps if 0 <= tap < dense_size] == [place * axis.spread[0] for place in window]


@given(dense_axes(("floor",)), st.integers(8, 24))
def test_numbers_alone_are_enough_where_that_is_said(axis: DenseAxis, dense_size: int):
    assume(axis.needs_no_fitting and windows(axis, -(-dense_size // axis.spread[0])))
    padded = dense_size + sum(axis.dense_padding)
    span = axis.dense_dilation * (axis.kernel_size - 1) + 1
    assert (padded - span) // axis.dense_stride + 1 == axis.dense_size(dense_size)


@given(st.integers(1, 40), st.sampled_from([(1, 2), (2, 4), (4, 8)]))
def test_branches_of_different_kernels_keep_one_size(size: int, spread: tuple[int, int]):
    """A 3x3 convolution, a strided 1x1, a ceil-mode pool of two, and TensorFlow's padding."""
    branches = [
        DenseAxis(3, 2, padding=(1, 1), spread=spread),
        DenseAxis(1, 2, spread=spread),
        DenseAxis(2, 2, spread=spread, rounding="ceil"),
        DenseAxis(5, 2, spread=spread, rounding="same"),
    ]
    assert {branch.dense_size(size) for branch in branches} == {size}


def test_pool_of_two_keeps_an_even_size():
    assert DenseAxis(2, 2, spread=(1, 2)).dense_size(56) == 56
    assert DenseAxis(2, 2, spread=(1, 2)).dense_size(57) == 56  # 28 original cells


def test_stride_may_go_in_part():
    axis = DenseAxis(4, 4, spread=(1, 2))
    assert (axis.dense_stride, axis.dense_dilation) == (2, 1)
    assert axis.dense_size(16) == 8
