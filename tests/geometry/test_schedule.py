from fractions import Fraction
from itertools import combinations_with_replacement, permutations, product
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from atrous.errors import GeometryError
from atrous.geometry import schedule_search
from atrous.geometry.receptive_field import receptive_field
from atrous.geometry.schedule import Schedule, design_schedules
from atrous.geometry.schedule_known import explain_schedule, exponential_schedule, hdc_schedule


def paths(dilations, kernel_size) -> list[int]:
    """By definition: every choice of a tap in every layer, counted where it ends."""
    counts = [0] * (1 + (kernel_size - 1) * sum(dilations))
    for taps in product(range(kernel_size), repeat=len(dilations)):
        counts[sum(tap * dilation for tap, dilation in zip(taps, dilations, strict=True))] += 1
    return counts


def exact_evenness(dilations, kernel_size) -> Fraction:
    counts = paths(dilations, kernel_size)
    return Fraction(sum(counts) ** 2, len(counts) * sum(count**2 for count in counts))


def whole(total, num_layers, kernel_size, max_dilation) -> list[tuple[int, ...]]:
    """Every stack of a depth and sum without holes."""
    return [
        dilations
        for dilations in combinations_with_replacement(range(1, max_dilation + 1), num_layers)
        if sum(dilations) == total and all(paths(dilations, kernel_size))
    ]


stacks = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@pytest.mark.slow
@given(dilations=stacks, kernel_size=st.integers(2, 4))
def test_a_schedule_counts_every_path(dilations, kernel_size):
    schedule = Schedule(tuple(dilations), kernel_size=kernel_size)
    counts = np.array(paths(dilations, kernel_size))
    np.testing.assert_array_equal(schedule.seen, counts > 0)
    np.testing.assert_allclose(schedule.density, counts / counts.sum(), rtol=1e-12, atol=0)
    assert schedule.receptive_field == len(counts) == receptive_field(schedule.layers).size[0]
    assert schedule.fraction == np.count_nonzero(counts) / len(counts)
    assert schedule.evenness == pytest.approx(float(exact_evenness(dilations, kernel_size)), rel=1e-12)


def test_the_order_of_the_layers_changes_nothing():
    for dilations in permutations((1, 2, 5, 7)):
        np.testing.assert_allclose(Schedule(dilations).density, Schedule((1, 2, 5, 7)).density, rtol=1e-12)


@given(dilations=stacks, kernel_size=st.integers(2, 4))
def test_there_is_no_hole_if_no_dilation_exceeds_the_field_of_the_smaller_ones(dilations, kernel_size):
    joined = all(
        dilation <= 1 + (kernel_size - 1) * sum(sorted(dilations)[:rank])
        for rank, dilation in enumerate(sorted(dilations))
    )
    assert joined == all(paths(dilations, kernel_size))
    assert joined == ("give at most" not in explain_schedule(dilations, kernel_size=kernel_size))


@pytest.mark.parametrize("few_tails", [0, schedule_search.FEW_TAILS])  # bounds at work; all met at once
@pytest.mark.parametrize(
    ("kernel_size", "field", "max_dilation"),
    [
        (2, 12, 12),
        (2, 14, 4),
        (2, 17, 17),
        (3, 19, 9),
        (3, 28, 13),
        (3, 29, 5),
        (4, 30, 9),
        (5, 26, 3),
        (7, 50, 8),
    ],
)
def test_designs_are_the_best_of_all_stacks(kernel_size, field, max_dilation, few_tails):
    with patch.object(schedule_search, "FEW_TAILS", few_tails):
        found = design_schedules(
            receptive_field=field, kernel_size=kernel_size, max_dilation=max_dilation, max_layers=6, count=7
        )
    total = -(-(field - 1) // (kernel_size - 1))
    ranked = [
        (num_layers, -exact_evenness(dilations, kernel_size), dilations[::-1])
        for num_layers in range(1, 7)
        for dilations in whole(total, num_layers, kernel_size, min(max_dilation, total))
    ]
    assert [schedule.dilations for schedule in found] == [best[2][::-1] for best in sorted(ranked)[:7]]


@given(
    kernel_size=st.integers(2, 4),
    field=st.integers(2, 24),
    max_dilation=st.integers(1, 6),
    max_layers=st.integers(1, 4),
)
def test_depth_and_field_are_the_least_that_there_are(kernel_size, field, max_dilation, max_layers):
    all_stacks = [
        dilations
        for num_layers in range(1, max_layers + 1)
        for dilations in combinations_with_replacement(range(1, max_dilation + 1), num_layers)
        if all(paths(dilations, kernel_size))
    ]
    limits = {"kernel_size": kernel_size, "max_dilation": max_dilation, "max_layers": max_layers}
    fields = {1 + (kernel_size - 1) * sum(dilations) for dilations in all_stacks}
    if max(fields) < field:
        with pytest.raises(GeometryError, match=f"at most {max(fields)} cells without holes"):
            design_schedules(receptive_field=field, **limits)
        return
    best = design_schedules(receptive_field=field, **limits)[0]
    wide_enough = [stack for stack in all_stacks if 1 + (kernel_size - 1) * sum(stack) >= field]
    assert best.num_layers == min(len(stack) for stack in wide_enough)
    assert best.receptive_field == min(size for size in fields if size >= field)


@pytest.mark.parametrize(
    ("kernel_size", "total", "num_layers", "max_dilation"),
    [
        (2, 199, 9, 50),
        (2, 127, 8, 127),
        (3, 150, 6, 150),
        (3, 183, 6, 183),
        (3, 150, 8, 32),
        (5, 250, 5, 250),
    ],
)
def test_bounds_lose_none_of_the_best(kernel_size, total, num_layers, max_dilation):
    search = schedule_search._Search(
        kernel_size, num_layers=num_layers, total=total, max_dilation=max_dilation, count=20
    )
    with patch.object(schedule_search, "FEW_TAILS", 10**9):  # every stack is met
        every = search.follow({}, width=None)
    with patch.object(schedule_search, "FEW_TAILS", 0):  # bounded as long as it goes
        bounded = search.follow(search.follow({}, width=schedule_search.BEAM), width=None)
    assert list(bounded) == list(every)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kernel_size", "total", "num_layers"),
    [(2, 24, 6), pytest.param(3, 40, 5, marks=pytest.mark.slow), (4, 50, 4)],
)
def test_bounds_are_below_every_stack(kernel_size, total, num_layers):
    search = schedule_search._Search(kernel_size, num_layers, total, max_dilation=total, count=1)
    heads = np.ones((1, 1), dtype=int)
    while (left := num_layers - heads.shape[1]) > 2:
        rows, dilations = search._steps(heads.sum(axis=1), heads[:, -1], left)
        bounds = search._edge_bound(heads, rows, dilations)
        heads = np.concatenate([heads[rows], dilations[:, None]], axis=1)
        for head, bound in zip(heads, bounds, strict=True):
            tails = search._tails_of(head[None], [int(head.sum())], left=left - 1, room=10**9)
            stacks = [(*head.tolist(), *tail.tolist()) for tail in tails[int(head.sum())]]
            least = min(1 / (search.cells * Schedule(s, kernel_size=kernel_size).evenness) for s in stacks)
            assert bound <= least * schedule_search.SLACK


def test_a_search_that_is_cut_short_finds_no_holes():
    with patch.object(schedule_search, "WORK", 1), patch.object(schedule_search, "FEW_TAILS", 0):
        found = design_schedules(receptive_field=900, kernel_size=2, max_dilation=187, max_layers=12)
    evenness = [schedule.evenness for schedule in found]
    assert evenness == sorted(evenness, reverse=True)
    for schedule in found:
        assert (schedule.num_layers, schedule.receptive_field, schedule.fraction) == (12, 900, 1)
        assert max(schedule.dilations) <= 187


def test_output_stride_counts_pixels_between_cells():
    of_cells = design_schedules(receptive_field=67)
    assert design_schedules(receptive_field=1 + 66 * 8, output_stride=8) == of_cells
    assert design_schedules(receptive_field=1 + 65 * 8 + 1, output_stride=8) == of_cells
    assert design_schedules(receptive_field=1 + 64 * 8, output_stride=8)[0].receptive_field == 65


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kernel_size", [2, 3])
def test_padding_keeps_the_size_and_causal_layers_look_back_only(kernel_size, causal):
    schedule = design_schedules(receptive_field=9, kernel_size=kernel_size, causal=causal)[0]
    signal = torch.randn(1, 1, 40, requires_grad=True)
    value = signal
    for dilation, padding in zip(schedule.dilations, schedule.padding, strict=True):
        value = functional.conv1d(
            functional.pad(value, padding), torch.ones(1, 1, kernel_size), dilation=dilation
        )
    assert value.shape == signal.shape
    value[0, 0, 20].backward()
    assert signal.grad is not None
    seen = signal.grad[0, 0].nonzero().flatten().tolist()
    after = sum(after for _, after in schedule.padding)
    last = 20 + after
    assert seen == list(range(last - schedule.receptive_field + 1, last + 1))
    assert after == 0 if causal else 0 <= 2 * after - (schedule.receptive_field - 1) <= schedule.num_layers


def test_known_schedules_stop_where_the_field_is_reached():
    assert exponential_schedule(63).dilations == (1, 2, 4, 8, 16)
    assert exponential_schedule(64).dilations == (1, 2, 4, 8, 16, 32)
    assert exponential_schedule(67, max_dilation=6).dilations == (1, 2, 4) * 4 + (1, 2, 4)[:3]
    assert exponential_schedule(1024, kernel_size=2).dilations == tuple(2**power for power in range(10))
    assert hdc_schedule(35).dilations == (1, 2, 5, 9)
    assert hdc_schedule(36).dilations == (1, 2, 5, 9, 1)
    assert hdc_schedule(30, max_dilation=8).dilations == (1, 2, 5, 1, 2, 5)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"receptive_field": 0}, "takes no layer; give 2 or more"),
        ({"receptive_field": -5}, "takes no layer"),
        ({"receptive_field": 1}, "takes no layer"),
        ({"receptive_field": 10**12}, "more than the 4096 cells"),
        ({"receptive_field": 9, "kernel_size": 1}, "give 2 to 255"),
        ({"receptive_field": 9, "max_layers": 0}, "give 1 to 64"),
        ({"receptive_field": 9, "max_dilation": 0}, "give at least 1"),
        ({"receptive_field": 9, "output_stride": 0}, "give at least 1"),
        ({"receptive_field": 9, "count": 0}, "give 1 to 100"),
        (
            {"receptive_field": 67, "max_layers": 3},
            "at most 27 cells without holes, not 67.*max_layers 4 or more$",
        ),
        (
            {"receptive_field": 67, "max_dilation": 2},
            "at most 31 .*max_layers 17 or more, or max_dilation 5 or",
        ),
        ({"receptive_field": 999, "max_dilation": 1}, "give max_dilation 126 or more"),
        (
            {"receptive_field": 999, "max_dilation": 1, "max_layers": 2},
            "give more layers and larger dilations",
        ),
    ],
)
def test_what_is_impossible_is_explained(asked, words):
    with pytest.raises(GeometryError, match=words):
        design_schedules(**asked)


@pytest.mark.parametrize(("dilations", "kernel_size"), [((), 3), ((1, 0), 3), ((1, 2), 1)])
def test_a_schedule_has_dilations_and_taps(dilations, kernel_size):
    with pytest.raises(GeometryError):
        Schedule(dilations, kernel_size=kernel_size)


@pytest.mark.parametrize("build", [exponential_schedule, hdc_schedule])
@pytest.mark.parametrize(
    ("field", "limits"), [(1, {}), (0, {}), (9, {"kernel_size": 1}), (9, {"max_dilation": 0})]
)
def test_known_schedules_refuse_what_means_nothing(build, field, limits):
    with pytest.raises(GeometryError, match="is no schedule"):
        build(field, **limits)


def test_an_own_schedule_is_explained():
    holes = "dilation 2 is more than the 1 cell that there is before it; give at most 1"
    assert explain_schedule([2, 4, 8]) == f"2, 4, 8 sees 15 of 29 cells: {holes}"
    assert "dilation 9 is more than the 7 cells that smaller ones cover" in explain_schedule([9, 2, 1])
    assert explain_schedule([1, 1, 2, 4, 8, 16, 1]).endswith("; 4 are enough for as many")
    assert explain_schedule([1, 3, 9]).endswith("evenness 1.00; no fewer are enough for as many")
