"""The confusion matrix as a picture: its colors and numbers say what the matrix says."""

import io

import numpy as np
import pytest
from PIL import Image

from atrous.errors import ConfigError
from atrous.figures.canvas import to_png
from atrous.figures.confusion import draw_confusion_matrix

MATRIX = np.array([[90, 10, 0], [250, 750, 0], [0, 0, 0]], np.int64)
NAMES = ("sky", "a$b$", "never seen")


def parts(matrix=MATRIX, names=NAMES):
    (axes,) = draw_confusion_matrix(matrix, names).axes
    (image,) = axes.images
    return axes, np.asarray(image.get_array())


def test_numbers_are_percent_of_the_row():
    axes, _ = parts()
    numbers = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    assert numbers == {(0, 0): "90", (0, 1): "10", (1, 0): "25", (1, 1): "75", (2, 2): "\N{EN DASH}"}


def test_rows_are_the_truth():
    axes, _ = parts()
    assert axes.get_ylabel() == "truth"
    assert axes.get_xlabel().startswith("label map")
    assert [text.get_text() for text in axes.get_yticklabels()] == list(NAMES)
    assert [text.get_text() for text in axes.get_xticklabels()] == list(NAMES)


def test_right_is_blue_and_wrong_is_orange():
    _, colors = parts()
    red, _, blue = np.moveaxis(colors, -1, 0)
    assert blue[0, 0] > red[0, 0]
    assert blue[1, 1] > red[1, 1]
    assert red[0, 1] > blue[0, 1]
    assert red[1, 0] - blue[1, 0] > red[0, 1] - blue[0, 1]  # the larger the stronger
    assert (colors[2] == colors[2, 0]).all()  # one gray


@pytest.mark.parametrize("num_classes", [1, 2, 21, 40])
def test_picture_is_square_and_numbered_while_legible(num_classes):
    matrix = np.diag(np.arange(1, num_classes + 1))
    names = [f"class {index}" for index in range(num_classes)]
    figure = draw_confusion_matrix(matrix, names)
    assert len(figure.axes[0].texts) == (num_classes if num_classes <= 25 else 0)
    with Image.open(io.BytesIO(to_png(figure))) as picture:
        assert picture.width == picture.height
        assert picture.width >= 25 * num_classes / 2


def test_names_must_fit_the_matrix():
    with pytest.raises(ConfigError, match="2 names for a matrix of 3"):
        draw_confusion_matrix(MATRIX, NAMES[:2])
