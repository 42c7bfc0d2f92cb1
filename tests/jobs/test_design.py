import json

import pytest

from atrous.errors import GeometryError
from atrous.geometry.schedule import Schedule, design_schedules
from atrous.jobs.design import DesignConfig, run
from atrous.jobs.progress import drain


def design(**asked):
    return drain(run(DesignConfig(**asked)))


def test_design_lists_what_the_search_finds():
    result = json.loads(json.dumps(design(receptive_field=67, count=4).to_dict()))
    found = design_schedules(receptive_field=67, count=4)
    assert [tuple(row["dilations"]) for row in result["schedules"]] == [best.dilations for best in found]
    for row in [*result["schedules"], *result["known"]]:
        schedule = Schedule(tuple(row["dilations"]))
        assert row["num_layers"] == schedule.num_layers
        assert row["receptive_field"] == row["seen"] == schedule.receptive_field
        assert row["largest_dilation"] == max(schedule.dilations)
        assert row["evenness"] == schedule.evenness
        assert [tuple(pair) for pair in row["padding"]] == list(schedule.padding)


def test_the_table_says_why_the_first_is_better():
    table = design(receptive_field=67).to_table()
    assert (
        "1            1, 3, 9, 20                  4     67     67       20     0.898  fewest layers" in table
    )
    assert "exponential  1, 2, 4, 8, 16, 32 " in table
    assert (
        "Better than the HDC schedule: layers 4 instead of 8, field 67 instead of 69, "
        "evenness 0.898 instead of 0.642; the price: largest dilation 20 instead of 9."
    ) in table


def test_each_place_has_its_reason():
    reasons = {row.why for row in design(receptive_field=67, count=5).schedules}
    assert reasons == {
        "fewest layers, and of these the evenest",
        "as even, dilates further",
        "1 layer more, evener",
    }
    assert design(receptive_field=31, max_dilation=8).schedules[4].why == "less even"
    assert [row.why for row in design(receptive_field=27, max_layers=3).schedules] == [
        "no other has so few layers"
    ]


@pytest.mark.slow
def test_a_known_schedule_is_recognized():
    result = design(receptive_field=1024, kernel_size=2, causal=True, max_layers=10)
    assert result.verdicts[0] == "The first is the exponential schedule itself."
    table = result.to_table()
    assert "the present and the 1023 cells before" in table
    assert "1, 2, 5, 9, 1, 2, 5, 9, 1, 2, 5, 9, ...  " in table  # of 242


def test_holes_of_a_known_schedule_are_told():
    result = design(receptive_field=18, kernel_size=2)
    assert result.known[1].seen == 16
    assert result.verdicts[1].startswith("Better than the HDC schedule: holes 0 instead of 2")


def test_limits_hold_for_the_known_schedules_too():
    result = design(receptive_field=101, max_dilation=8, max_layers=12)
    assert all(row.largest_dilation <= 8 for row in (*result.schedules, *result.known))


def test_a_field_in_pixels_is_shown_in_pixels():
    result = design(receptive_field=524, output_stride=8)
    assert (result.schedules[0].receptive_field, result.schedules[0].pixels) == (67, 529)
    assert "524 px asked, 529 px reached without holes: 67 cells 8 px apart" in result.to_table()


def test_design_explains_what_is_impossible():
    with pytest.raises(GeometryError, match="give max_layers 17 or more, or max_dilation 5 or more"):
        design(receptive_field=67, max_dilation=2)
