"""The effective field on a photo: what is outlined, dimmed and heated where."""

import io

import numpy as np
import pytest
from matplotlib.patches import Circle, Rectangle
from PIL import Image

from atrous.errors import ShapeError
from atrous.figures.canvas import to_png
from atrous.figures.effective import draw_effective_field
from atrous.geometry.effective import EffectiveReceptiveField
from atrous.geometry.receptive_field import receptive_field
from figures.graphs import classifier

IMAGE = np.full((40, 60, 3), 200, np.uint8)


def mass_at(row, column, spread=3.0, size=(40, 60)):
    rows, columns = np.indices(size)
    mass = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * spread**2))
    return mass / mass.sum()


EFFECTIVE = EffectiveReceptiveField(mass_at(20, 30), cell=(20, 30), center=(20.0, 30.0))
FIELD = receptive_field([(4, 4), (2, 6)])  # 13 x 21 px


def patch_of(figure, kind):
    (patch,) = (patch for patch in figure.axes[0].patches if isinstance(patch, kind))
    return patch


def test_box_is_what_the_cell_reaches():
    box = patch_of(draw_effective_field(IMAGE, EFFECTIVE, field=FIELD), Rectangle)
    assert (box.get_x(), box.get_y()) == (30 - 10 - 0.5, 20 - 6 - 0.5)
    assert (box.get_width(), box.get_height()) == (21, 13)


def test_circle_holds_95_percent_round_the_center():
    circle = patch_of(draw_effective_field(IMAGE, EFFECTIVE, field=FIELD), Circle)
    assert circle.center == (30.0, 20.0)
    distances = np.hypot(np.arange(40)[:, None] - 20, np.arange(60) - 30)
    inside = EFFECTIVE.mass[distances <= circle.radius].sum()
    assert inside >= 0.95
    assert EFFECTIVE.mass[distances < circle.radius - 1e-9].sum() < 0.95


def test_photo_is_dimmed_outside_the_box_and_heated_in_the_middle():
    figure = draw_effective_field(IMAGE, EFFECTIVE, field=FIELD)
    colors = np.asarray(figure.axes[0].images[0].get_array())
    outside, inside, middle = colors[2, 2], colors[20, 39], colors[20, 30]
    np.testing.assert_allclose(outside, outside[0], atol=1e-3)  # gray
    assert outside.sum() < inside.sum()
    assert middle[0] - middle[2] > 0.2  # yellow


def test_a_box_larger_than_the_photo_is_shown_whole():
    axes = draw_effective_field(IMAGE, EFFECTIVE, field=receptive_field([(32, 32)])).axes[0]
    assert axes.get_xlim() == (-2.5, 62.5)
    assert axes.get_ylim() == (52.5, -12.5)


def test_what_sees_everything_has_the_photo_as_its_box():
    vector = EffectiveReceptiveField(EFFECTIVE.mass, cell=(), center=(19.5, 29.5))
    figure = draw_effective_field(IMAGE, vector, field=receptive_field(classifier(2)), name="it")
    box = patch_of(figure, Rectangle)
    assert (box.get_x(), box.get_y(), box.get_width(), box.get_height()) == (-0.5, -0.5, 60, 40)
    assert figure.get_suptitle().startswith("it could see the whole input")


def test_title_compares_the_circle_with_the_box():
    narrow = EffectiveReceptiveField(mass_at(20, 30, spread=0.1), cell=(20, 30), center=(20.0, 30.0))
    title = draw_effective_field(IMAGE, narrow, field=FIELD, name="it").get_suptitle()
    assert " ".join(title.split()) == (
        "it could see 13 x 21 px; 95% of what moves it comes from 0% of that area"  # 1 of 273
    )


def test_image_of_another_size_is_refused():
    with pytest.raises(ShapeError, match=r"measured on \(40, 60\) px, and the image has \(40, 50\)"):
        draw_effective_field(IMAGE[:, :50], EFFECTIVE, field=FIELD)


@pytest.mark.parametrize("center", [(2, 2), (38, 58), (20, 30)])
def test_labels_stay_inside_the_picture(center):
    effective = EffectiveReceptiveField(mass_at(*center), cell=center, center=tuple(map(float, center)))
    figure = draw_effective_field(IMAGE, effective, field=FIELD)
    with Image.open(io.BytesIO(to_png(figure))) as picture:
        assert picture.width > picture.height
    for text in figure.axes[0].texts:
        box = text.get_window_extent()
        assert figure.bbox.y0 <= box.y0
        assert box.y1 <= figure.bbox.y1
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1


def test_a_circle_that_leaves_the_photo_keeps_its_label_inside():
    wide = EffectiveReceptiveField(mass_at(20, 30, spread=15.0), cell=(20, 30), center=(20.0, 30.0))
    figure = draw_effective_field(IMAGE, wide, field=FIELD)
    to_png(figure)
    (label,) = (text for text in figure.axes[0].texts if "95%" in text.get_text())
    assert figure.axes[0].bbox.y0 <= label.get_window_extent().y0
