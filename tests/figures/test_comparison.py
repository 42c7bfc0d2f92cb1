import numpy as np

from atrous.figures.comparison import Run, draw_comparison
from atrous.figures.curves import Course


def course(steps, losses, scores):
    values = {"loss": np.array(losses), "val_mean_iou": np.array(scores)}
    return Course("front_end", np.array(steps, float), values)


FIRST = course([10, 20, 30], [1.0, 0.5, 0.4], [np.nan, 0.3, 0.4])
SECOND = course([10, 20], [0.4, 0.2], [np.nan, 0.9])


def lines_of(axes):
    """Steps and values of every solid line."""
    lines = [line for line in axes.get_lines() if line.get_linestyle() == "-"]
    return [(np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()) for line in lines]


def test_a_run_sets_out_where_the_one_before_it_ended():
    figure = draw_comparison(
        [Run("", FIRST, "black"), Run("b", SECOND, "red", after=FIRST)], ceiling=0.5, ceiling_name="at most"
    )
    losses, scores = figure.axes
    assert lines_of(losses) == [([10, 20, 30], [1.0, 0.5, 0.4]), ([40, 50], [0.4, 0.2])]
    assert lines_of(scores) == [([20, 30], [30, 40]), ([30, 50], [40, 90])]


def test_names_last_scores_and_the_ceiling_are_written():
    figure = draw_comparison(
        [Run("", FIRST, "black"), Run("b", SECOND, "red", after=FIRST)], ceiling=0.5, ceiling_name="at most"
    )
    assert {text.get_text().strip() for text in figure.axes[1].texts} == {"40.0", "b 90.0", "at most"}


def test_a_run_without_validation_has_its_loss_drawn():
    figure = draw_comparison(
        [Run("a", course([1], [2.0], [np.nan]), "black")], ceiling=0.5, ceiling_name="at most"
    )
    assert lines_of(figure.axes[0]) == [([1], [2.0])]
