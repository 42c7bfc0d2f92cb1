"""What is said about dilation schedules (Yu & Koltun 2016, WaveNet 2016, Wang et al. 2018), recomputed."""

import pytest

from atrous.geometry.schedule import Schedule, design_schedules
from atrous.geometry.schedule_known import HDC_GROUP, exponential_schedule, hdc_schedule


@pytest.mark.parametrize("num_layers", range(1, 7))
def test_powers_of_three_are_the_only_best_of_kernels_of_three(num_layers):
    """3^L paths, one to each of 3^L cells; often doubling is given as the fastest growth without holes."""
    (only,) = design_schedules(receptive_field=3**num_layers, max_layers=num_layers)
    assert only.dilations == tuple(3**power for power in range(num_layers))
    assert only.evenness == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("num_layers", range(1, 11))
def test_doubling_is_the_only_best_of_causal_kernels_of_two(num_layers):
    """WaveNet's 1, 2, 4, ..., 512."""
    field = 2**num_layers
    (only,) = design_schedules(receptive_field=field, kernel_size=2, max_layers=num_layers, causal=True)
    assert only == exponential_schedule(field, kernel_size=2, causal=True)


@pytest.mark.parametrize("kernel_size", [2, 3, 5])
@pytest.mark.parametrize("num_layers", [1, 4, 7])
def test_doubling_sees_this_much(kernel_size, num_layers):
    """Often given as 2^L (k - 1) + 1."""
    field = 1 + (kernel_size - 1) * (2**num_layers - 1)
    schedule = exponential_schedule(field, kernel_size=kernel_size)
    assert (schedule.num_layers, schedule.receptive_field, schedule.fraction) == (num_layers, field, 1)


def test_63_cells_take_31_ordinary_layers_or_5_doubled_ones_or_4_designed():
    """Often given as 63 ordinary layers."""
    assert exponential_schedule(63, max_dilation=1).dilations == (1,) * 31
    assert exponential_schedule(63).dilations == (1, 2, 4, 8, 16)
    assert design_schedules(receptive_field=63)[0].num_layers == 4


def test_67_cells_take_fewer_layers_than_the_context_module_has():
    """Yu & Koltun 2016, table 1: 1, 1, 2, 4, 8, 16, 1."""
    module = Schedule((1, 1, 2, 4, 8, 16, 1))
    best = design_schedules(receptive_field=67)[0]
    assert module.receptive_field == best.receptive_field == 67
    assert (module.num_layers, best.num_layers) == (7, 4)
    assert best.evenness > module.evenness


@pytest.mark.parametrize("field", [31, 67, 127, 259])
def test_designs_beat_the_known_schedules(field):
    best = design_schedules(receptive_field=field)[0]
    for known in (exponential_schedule(field), hdc_schedule(field)):
        assert known.fraction == 1
        assert best.num_layers <= known.num_layers
        assert best.receptive_field <= known.receptive_field
        assert best.evenness > known.evenness


def test_hybrid_dilation_is_made_for_kernels_of_three():
    assert Schedule(HDC_GROUP).fraction == 1
    assert Schedule(HDC_GROUP, kernel_size=2).fraction == 16 / 18
