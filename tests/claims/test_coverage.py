"""Which inputs stacks of dilated layers really see; where what is often said is wrong, the truth."""

import math

import pytest

from atrous.geometry.coverage import coverage


@pytest.mark.parametrize(
    ("dilations", "seen", "size"),
    [
        ((2, 4, 8), 15, 29),
        ((1, 2, 9), 21, 25),
        ((3, 4, 5), 21, 25),
        ((2, 2, 2), 7, 13),
        ((1, 2, 3), 13, 13),
        ((1, 2, 5), 17, 17),
        ((1, 3, 9), 27, 27),
        ((1, 2, 4), 15, 15),
        ((1, 1, 2, 4, 8, 16, 1), 67, 67),
    ],
)
def test_a_stack_covers_exactly(dilations, seen, size):
    found = coverage(dilations)
    assert (int(found.seen.sum()), found.seen.size) == (seen, size)
    assert found.fraction == seen / size
    assert len(found.holes) == size - seen


@pytest.mark.parametrize("dilations", [(1, 2, 9), (3, 4, 5)])
def test_dilations_without_common_divisor_can_leave_holes(dilations):
    """Often given as the rule that avoids gridding (Wang et al. 2018, section 3.2)."""
    assert math.gcd(*dilations) == 1
    assert coverage(dilations).fraction < 1


def largest_gap_to_cover(dilations):
    """M_2 of Wang et al. 2018, equation 2: M_i = max(M_(i+1) - 2 r_i, M_(i+1) - 2 (M_(i+1) - r_i), r_i)."""
    gap = dilations[-1]
    for dilation in reversed(dilations[1:-1]):
        gap = max(gap - 2 * dilation, 2 * dilation - gap, dilation)
    return gap


def test_the_rule_of_hybrid_dilation_is_not_enough_alone():
    """M_2 at most the kernel size, often given as covering everything (Wang et al. 2018, equation 2)."""
    assert largest_gap_to_cover((1, 2, 5)) == 2  # the paper's own example
    assert largest_gap_to_cover((1, 2, 9)) == 5
    assert largest_gap_to_cover((2, 2, 2)) <= 3
    assert coverage([2, 2, 2]).fraction == 7 / 13


def test_exponential_dilations_leave_no_holes():
    """Often given as a reason to take 1, 2, 3 instead of 1, 2, 4."""
    assert coverage([1, 2, 4]).fraction == 1
    assert coverage([1, 2, 4, 8, 16, 32, 64]).fraction == 1


def test_the_context_module_sees_each_of_its_67_x_67_cells():  # Yu & Koltun 2016, table 1
    found = coverage([(d, d) for d in (1, 1, 2, 4, 8, 16, 1)])
    assert found.seen.shape == (67, 67)
    assert found.seen.all()
