from dataclasses import replace

from atrous.jobs.network_cost import NetworkCost
from atrous.jobs.prediction_cost import PredictionCost
from atrous.jobs.standings import Standing, Trial
from atrous.jobs.standings_table import HEADS, markdown_table, text_table

COST = NetworkCost(20_500_123, 123_456_000_000, (240, 320), 8, 290, sees_all=True)
SPEED = PredictionCost(0.987, 1_250_000_000, (240, 320), "torch", 2)
TRIALS = (Trial(0, 0.501, 0.8), Trial(1, 0.703, 0.6))
STANDINGS = (
    Standing("wide|name", COST, TRIALS, SPEED),
    Standing("one seed", replace(COST, sees_all=False), TRIALS[:1], None),
    Standing("gone", None, (), None, why_not="no such network"),
)


def test_text_columns_are_apart_and_failures_follow():
    lines = text_table(STANDINGS, ("a note",)).splitlines()
    assert lines[0].split("  ")[0] == HEADS[0]
    first = "wide|name 60.2 (50.1-70.3) 70.0 (60.0-80.0) 20,500,123 123 8 290 +all 0.987 1250"
    assert " ".join(lines[1].split()) == first
    assert " ".join(lines[2].split()) == "one seed 50.1 80.0 20,500,123 123 8 290 - -"
    assert lines[3].split() == ["gone", *"--------"]
    assert lines[4:] == ["", "gone failed: no such network", "a note"]
    assert len({len(line) for line in lines[:4]}) == 1  # right aligned


def test_markdown_has_a_cell_a_column_and_escapes_bars():
    lines = markdown_table(STANDINGS, ("a note",)).splitlines()
    assert lines[0] == f"| {' | '.join(HEADS)} |"
    assert lines[2].startswith("| wide\\|name | 60.2 (50.1-70.3) |")
    assert all(line.replace("\\|", "").count("|") == len(HEADS) + 1 for line in lines[:5])
    assert lines[5:] == ["", "- gone failed: no such network", "- a note"]
