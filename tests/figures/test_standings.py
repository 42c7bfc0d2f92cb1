from dataclasses import replace

import numpy as np
import pytest

from atrous.figures.canvas import to_png
from atrous.figures.standings import Line, draw_standings, short

LINES = (
    Line("small", (0.58, 0.6), (0.9, 0.92), 73_445, 560_000_000, 32, sees_all=False),
    Line("sees $all$", (0.95,), (0.97,), 20_500_000, 56_000_000_000, 290, sees_all=True),
    Line("failed", (), (), None, None, None, sees_all=False),
)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_every_network_has_a_row_with_its_scores_and_counts():
    scores, boundaries, parameters, multiply_adds, field = draw_standings(LINES).axes
    assert [label.get_text() for label in scores.get_yticklabels()] == [line.name for line in LINES]
    assert texts(scores) == ["59.0", "95.0", "failed"]
    assert texts(boundaries) == ["91.0", "97.0", "failed"]
    assert texts(parameters) == ["73.4k", "20.5M"]
    assert texts(multiply_adds) == ["560M", "56G"]
    assert texts(field) == ["32", "290", "and all"]
    dots = [line for line in scores.lines if line.get_marker() == "o"]
    assert [np.asarray(line.get_xdata()).tolist() for line in dots] == [pytest.approx([58, 60]), [95]]
    low, high = scores.get_ylim()
    assert low > high  # the first is on top


def test_a_comparison_of_failures_is_drawn_too():
    assert to_png(draw_standings([LINES[2]])).startswith(b"\x89PNG")


def test_equal_scores_keep_an_axis_with_a_width():
    same = [replace(LINES[0], mean_iou=(0.0, 0.0))]
    low, high = draw_standings(same).axes[0].get_xlim()
    assert high - low >= 10


def test_short_numbers():
    assert [short(value) for value in (1, 999, 1000, 1_234_567, 2e9, 3e12)] == [
        "1",
        "999",
        "1k",
        "1.23M",
        "2G",
        "3T",
    ]
