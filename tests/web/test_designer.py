import pytest

from atrous.geometry.schedule import Schedule
from atrous.web.designer import describe, design_of, improve, is_better


def test_a_stack_with_holes_gets_one_without_for_the_same_field():
    design = design_of("1, 2, 9", 3)
    assert design.best is not None
    assert design.best.receptive_field == design.own.receptive_field == 25
    assert design.best.fraction == 1
    assert is_better(design.best, design.own)
    assert improve("1, 2, 9", 3) == ", ".join(map(str, design.best.dilations))


def test_the_best_stack_is_not_called_worse_than_itself():
    best = improve("1 2 9", 3)
    design = design_of(best, 3)
    assert design.best is not None
    assert not is_better(design.best, design.own)


def test_fewer_layers_or_more_evenness_make_a_schedule_better():
    assert is_better(Schedule((1, 3)), Schedule((1, 1, 1, 1)))
    assert not is_better(Schedule((1, 1, 2)), Schedule((1, 3)))


@pytest.mark.parametrize(
    ("text", "kernel_size", "message"),
    [
        ("", 3, "are no whole numbers"),
        ("1, two", 3, "are no whole numbers"),
        ("1, 0", 3, "are no whole numbers"),
        ("1, 2", None, "Kernel size empty is impossible"),
        ("1, 2", 1, "Kernel size 1 is impossible"),
        ("1, 99999999999", 3, "more than is drawn here"),
        (", ".join(["1"] * 80), 3, "give up to 64 layers"),
        ("<script>alert(1)</script>", 3, "&lt;script&gt;"),
    ],
)
def test_what_is_no_schedule_is_a_sentence(text, kernel_size, message):
    shown = describe(text, kernel_size)
    assert message in shown
    assert 'role="alert"' in shown
    assert "<script" not in shown
    assert improve(text, kernel_size) == text


@pytest.mark.slow
def test_a_schedule_is_drawn_with_figures_and_sentences():
    shown = describe("1, 2, 9", 3)
    assert "25 cells" in shown
    assert "84.0%" in shown
    assert "Better: <code>1, 3, 8</code>" in shown
    assert "data:image/png;base64," in shown
