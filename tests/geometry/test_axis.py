from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from atrous.errors import GeometryError
from atrous.geometry.axis import Interleaved, Resample, Transposed, Window, fold, on_grids
from atrous.geometry.axis_field import AxisField

windows = st.builds(
    Window, st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.tuples(st.integers(-2, 3), st.just(0))
)
transposed = st.builds(Transposed, st.integers(1, 5), st.integers(1, 3), st.integers(1, 2))
resamples = st.builds(
    Resample,
    st.fractions(Fraction(1, 4), 2, max_denominator=4),
    st.fractions(-1, 1, max_denominator=4),
    st.integers(0, 2),
)
finite = windows | transposed | resamples


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_fold_is_what_padding_repeats(mode):
    size, pad = 5, 4
    padded = functional.pad(torch.arange(size).view(1, 1, size).float(), (pad, pad), mode=mode)
    folded, inside = fold(np.arange(-pad, size + pad), size, mode)
    assert inside.all()
    assert folded.tolist() == padded.flatten().tolist()


def test_fold_finds_nothing_in_zeros():
    folded, inside = fold(np.arange(-1, 4), 3, "nothing")
    assert inside.tolist() == [False, True, True, True, False]
    assert folded[inside].tolist() == [0, 1, 2]


@given(finite, st.integers(-20, 20))
def test_what_is_read_repeats_after_a_period(axis, cell):
    cells = np.array([cell, cell + axis.period])
    (first, second), (counts, again) = axis.taps(cells)
    assert (counts == again).all()
    assert (second - first == axis.slope * axis.period).all()


@given(finite, st.integers(1, 4), st.integers(-12, 12))
def test_operators_on_grids_read_their_own_grid_only(axis, phases, cell):
    positions, counts = on_grids(axis, phases).taps(np.array([cell]))
    r, p = divmod(cell, phases)
    inner, inner_counts = axis.taps(np.array([r]))
    assert sorted(positions[counts]) == sorted(phases * q + p for q in inner[inner_counts])


@given(st.lists(finite, min_size=1, max_size=3), st.integers(1, 3), st.integers(-6, 6))
def test_field_is_the_first_and_last_input_that_taps_lead_to(maps, phases, cell):
    path = [on_grids(axis, phases) for axis in maps]
    field = AxisField()
    for axis in path:
        field = field.through(axis)
    cells = {cell}
    for axis in reversed(path):
        positions, counts = axis.taps(np.array(sorted(cells), dtype=int))
        cells = set(positions[counts].tolist())
        if not cells:
            break
    assert field.box(cell) == ((min(cells), max(cells)) if cells else None)


def test_grids_of_a_part_of_the_phases_skip_the_others():
    split = Interleaved(Window(), phases=2, phases_read=4)  # of four grids the first two are kept
    assert [split.taps(np.array([cell]))[0].item() for cell in range(6)] == [0, 1, 4, 5, 8, 9]


@pytest.mark.parametrize("name", ["kernel_size", "stride", "dilation"])
def test_windows_refuse_zero(name):
    with pytest.raises(GeometryError, match=f"{name} 0 is too small"):
        replace(Window(), **{name: 0})
