"""Curves: what is read from the log, and what is on the picture."""

import io
import math

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from atrous.errors import DataError
from atrous.figures.canvas import save_figure, to_png
from atrous.figures.curves import draw_curves, moving_average, read_log

HEADER = "step,stage,loss,learning_rate,images_per_second,waiting,val_mean_iou\n"


def write_log(path, lines):
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def two_stages(path):
    lines = [
        f"{step},front_end,{3 / step},{1e-3 * (1 - step / 20)},4.5,0.0,{0.02 * step if step % 5 == 0 else ''}"
        for step in range(1, 21)
    ]
    lines += [
        f"{step},context$x,{0.1},{1e-5},9.5,0.0,{'0.5' if step == 30 else ''}" for step in range(21, 31)
    ]
    return write_log(path, lines)


def labels_of(figure):
    return [axes.get_ylabel().replace("\n", " ") for axes in figure.axes]


def texts_of(axes):
    return [text.get_text() for text in axes.texts]


def test_read_log_splits_stages_and_keeps_blanks_as_nan(tmp_path):
    front_end, context = read_log(two_stages(tmp_path / "log.csv"))
    assert (front_end.stage, context.stage) == ("front_end", "context$x")
    assert front_end.steps.tolist() == list(range(1, 21))
    assert context.values["loss"].tolist() == [0.1] * 10
    scores = front_end.values["val_mean_iou"]
    assert scores[np.isfinite(scores)] == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_curves_have_a_row_for_everything_measured(tmp_path):
    figure = draw_curves(read_log(two_stages(tmp_path / "log.csv")))
    assert labels_of(figure) == ["loss", "mean IoU on validation, %", "learning rate", "images a second"]
    loss, score, *_ = figure.axes
    assert {"front end", "context$x"} <= set(texts_of(loss))
    assert texts_of(score) == ["50.0"]  # the best
    assert loss.get_xlim()[0] == 0
    assert loss.get_xlim()[1] >= 30


def test_curves_show_the_losses_of_every_stage(tmp_path):
    lines = [
        *(f"{step},a,0.1,1e-3,1,0," for step in range(1, 9)),
        *(f"{step},b,5,1e-3,9,0," for step in (9, 10)),
    ]
    loss, _, speed = draw_curves(read_log(write_log(tmp_path / "log.csv", lines))).axes
    assert loss.get_ylim() == (0, 5.25)
    assert speed.get_ylim()[1] > 9


def test_curves_without_validation_have_no_such_row(tmp_path):
    log = write_log(tmp_path / "log.csv", [f"{step},front_end,{2 / step},1e-3,4,0," for step in range(1, 5)])
    assert labels_of(draw_curves(read_log(log))) == ["loss", "learning rate", "images a second"]


def test_learning_rates_far_apart_are_drawn_on_a_logarithmic_scale(tmp_path):
    figure = draw_curves(read_log(two_stages(tmp_path / "log.csv")))
    assert figure.axes[2].get_yscale() == "log"


@pytest.mark.parametrize("lines", [[], ["1,front_end,2.4,1e-3,4,0,"], ["1,joint,nan,0,0,0,0.0"]])
def test_curves_of_a_run_that_just_began_can_be_drawn(tmp_path, lines):
    figure = draw_curves(read_log(write_log(tmp_path / "log.csv", lines)))
    assert to_png(figure).startswith(b"\x89PNG")


@pytest.mark.slow
def test_curves_become_a_png_of_the_stated_size(tmp_path):
    settings = dict(mpl.rcParams)
    figure = draw_curves(read_log(two_stages(tmp_path / "log.csv")))
    save_figure(tmp_path / "new" / "curves.png", figure)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["curves.png"]
    with Image.open(tmp_path / "new" / "curves.png") as picture:
        assert picture.size == pytest.approx(144 * figure.get_size_inches(), abs=1)
    assert dict(mpl.rcParams) == settings


@pytest.mark.slow
def test_png_of_a_figure_is_the_same_twice(tmp_path):
    courses = read_log(two_stages(tmp_path / "log.csv"))
    first, second = (np.array(Image.open(io.BytesIO(to_png(draw_curves(courses))))) for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("step,loss\n1,2\n", "no column 'stage'"),
        ("", "no column 'step'"),
        (HEADER + "1,front_end,2.3,0.1\n", "ends within a line"),
        (HEADER + "1,front_end,much,0.1,4,0,\n", "'much' as loss"),
    ],
)
def test_read_log_refuses_a_file_that_is_no_log(tmp_path, text, reason):
    log = tmp_path / "log.csv"
    log.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=reason):
        read_log(log)


def test_read_log_refuses_a_missing_or_binary_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_log(tmp_path / "log.csv")
    (tmp_path / "log.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="cannot be read"):
        read_log(tmp_path / "log.csv")


@pytest.mark.parametrize("width", [1, 2, 5, 99])
def test_moving_average_is_the_mean_of_the_neighbors(width):
    values = np.random.default_rng(0).random(20)
    reach = width // 2
    slow = [
        math.fsum(part) / len(part) for part in (values[max(i - reach, 0) : i + reach + 1] for i in range(20))
    ]
    assert moving_average(values, width=width) == pytest.approx(slow)
