"""Receptive fields over depth: the lines hold the fields, and nothing covers anything else."""

import io
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation, Text
from PIL import Image

from atrous.figures.canvas import to_png
from atrous.figures.depth import describe_size, draw_field_growth
from atrous.geometry.graph import Layer
from atrous.geometry.receptive_field import receptive_field
from figures.graphs import BRANCHES, classifier

STANDARD, EXPONENTIAL = receptive_field([1] * 7), receptive_field([2**index for index in range(7)])
CLASSIFIER = receptive_field(classifier(1))


def lines_of(figure):
    """The heights of every line from layer 0 on."""
    (axes,) = figure.axes
    data = [np.asarray(line.get_xydata()) for line in axes.get_lines()]
    return [line[:, 1].tolist() for line in data if len(line) > 1 and line[0, 0] == 0]


def texts_of(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def names_of(figure):
    """The names right of the axes; the other texts are one stride or empty."""
    return [text for text in figure.axes[0].texts if "\n" in text.get_text()]


def test_lines_hold_the_fields():
    figure = draw_field_growth({"standard": STANDARD, "exponential": EXPONENTIAL})
    assert lines_of(figure) == [[1, 3, 5, 7, 9, 11, 13, 15], [1, 3, 7, 15, 31, 63, 127, 255]]
    assert sorted(texts_of(figure)) == ["exponential\n255 samples", "standard\n15 samples"]


def test_title_says_how_much_farther_the_farthest_sees():
    figure = draw_field_growth({"standard": STANDARD, "exponential": EXPONENTIAL})
    assert figure.get_suptitle() == "exponential sees 255 samples, 17 times as far as standard"
    assert draw_field_growth({"a": STANDARD}).get_suptitle() == "a sees 15 samples after 7 layers"
    assert draw_field_growth({"a": STANDARD, "b": STANDARD}).get_suptitle() == "All see 15 samples"


def test_axis_is_logarithmic_where_small_fields_would_vanish():
    assert draw_field_growth({"a": EXPONENTIAL}).axes[0].get_yscale() == "log"
    assert draw_field_growth({"a": STANDARD}).axes[0].get_yscale() == "linear"


def test_strides_are_circled():
    figure = draw_field_growth({"a": receptive_field([Layer(3), Layer(2, stride=2), Layer(3)])})
    assert "2" in texts_of(figure)
    assert "circled" in figure.axes[0].get_xlabel()
    assert "circled" not in draw_field_growth({"a": STANDARD}).axes[0].get_xlabel()


def test_branches_beside_the_widest_are_marked():
    figure = draw_field_growth({"a": receptive_field(BRANCHES)})
    marks = [np.asarray(line.get_xydata()).tolist() for line in figure.axes[0].get_lines()]
    assert [[2, 7]] in marks  # "short"


def test_what_sees_everything_rises_to_a_band_of_its_own():
    figure = draw_field_growth({"a": CLASSIFIER, "b": STANDARD})
    (axes,) = figure.axes
    assert axes.get_yticklabels()[-1].get_text() == "whole\ninput"
    (arrow,) = (text for text in axes.texts if isinstance(text, Annotation) and text.get_text() == "")
    assert arrow.xy[0] == 1
    assert arrow.xy[1] > max(map(max, lines_of(figure)))
    assert "a\n7 samples locally" in texts_of(figure)
    assert figure.get_suptitle().endswith("a also sees the whole input")
    assert "whole\ninput" not in [
        label.get_text() for label in draw_field_growth({"b": STANDARD}).axes[0].get_yticklabels()
    ]


@pytest.mark.parametrize("fields", [[STANDARD], [STANDARD] * 6, [receptive_field([1])] * 5 + [EXPONENTIAL]])
def test_names_stay_apart_and_inside_the_picture(fields):
    names = (f"network ${number}$ with a long, long name" for number in range(len(fields)))
    figure = draw_field_growth(dict(zip(names, fields, strict=True)))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = sorted((Text.get_window_extent(text) for text in names_of(figure)), key=lambda box: box.y0)
    assert len(boxes) == len(fields)
    assert all(below.y1 <= above.y0 for below, above in pairwise(boxes))
    width, height = canvas.get_width_height()
    assert all(box.x1 <= width and box.y0 >= 0 and box.y1 <= height for box in boxes)


def test_picture_is_a_png():
    with Image.open(io.BytesIO(to_png(draw_field_growth({"a": STANDARD})))) as picture:
        assert picture.width > picture.height


def test_size_of_unequal_axes_is_written_out():
    assert describe_size((15, 15)) == "15 px"
    assert describe_size((3, 9, 9)) == "3 x 9 x 9 voxels"
