import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.folder import Sample
from atrous.data.transforms import Augmentation, augment
from atrous.errors import ConfigError

HEIGHT, WIDTH = 11, 13


def coordinates(height=HEIGHT, width=WIDTH):
    """A sample whose pixels say where they are: (row, column, 7), and their labels a number for the place."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, np.full_like(rows, 7)], axis=-1).astype(np.uint8)
    labels = (rows * width + columns).astype(np.uint8)
    assert labels.max() < 255
    return Sample("coordinates", image, labels)


def crop(augmentation, seed=0, *, margin=0, sample=None):
    return augment(sample or coordinates(), augmentation, np.random.default_rng(seed), margin=margin)


def test_identity_settings_give_the_image_itself():
    sample = coordinates()
    for seed in range(4):
        taken = crop(Augmentation((HEIGHT, WIDTH), mirror=False), seed)
        assert np.array_equal(taken.image, sample.image.transpose(2, 0, 1))
        assert np.array_equal(taken.labels, sample.labels)


def test_the_sample_is_left_as_it_was():
    sample, untouched = coordinates(), coordinates()
    for seed in range(10):
        crop(Augmentation((8, 20), scale=(0.5, 2.0), color=0.5), seed, margin=5, sample=sample)
    assert np.array_equal(sample.image, untouched.image)
    assert np.array_equal(sample.labels, untouched.labels)


@given(
    crop_size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    mirror=st.booleans(),
    margin=st.integers(0, 40),
    seed=st.integers(0, 1000),
)
def test_image_and_labels_stay_together(crop_size, mirror, margin, seed):
    """Through crop, mirror and margin: what the labels say of a place, the image shows there."""
    taken = crop(Augmentation(crop_size, mirror=mirror), seed, margin=margin)
    height, width = crop_size
    assert taken.image.shape == (3, height + 2 * margin, width + 2 * margin)
    assert taken.labels.shape == crop_size
    inner = taken.image[:, margin : margin + height, margin : margin + width].astype(int)
    places = inner[0] * WIDTH + inner[1]
    valid = taken.labels != 255
    assert np.array_equal(places[valid], taken.labels[valid])
    # As much of the image as fits is in the crop, in one rectangle.
    assert valid.sum() == min(height, HEIGHT) * min(width, WIDTH)
    rows, columns = np.flatnonzero(valid.any(1)), np.flatnonzero(valid.any(0))
    assert valid[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()


@given(margin=st.integers(0, 60), seed=st.integers(0, 100), mirror=st.booleans())
def test_beyond_the_border_the_image_is_reflected(margin, seed, mirror):
    """As numpy reflects, at any distance, and also where the crop is larger than the image."""
    size = (17, 9)  # one side larger, one smaller
    taken = crop(Augmentation(size, mirror=mirror), seed, margin=margin)
    sample = coordinates()
    reach = 17 + 60
    padded = np.pad(sample.image, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    valid = taken.labels != 255
    row, column = np.argwhere(valid)[0]  # a place that is known in the crop, and so in the image
    source_row, source_column = divmod(int(taken.labels[row, column]), WIDTH)
    flipped = valid.sum(1).max() > 1 and taken.labels[row, column + 1] < taken.labels[row, column]
    step = -1 if flipped else 1
    top = reach + source_row - row - margin
    left = reach + source_column - step * (column + margin)
    expected = padded[top : top + size[0] + 2 * margin][
        :, [left + step * offset for offset in range(size[1] + 2 * margin)]
    ]
    assert np.array_equal(taken.image, expected.transpose(2, 0, 1))


def test_beyond_the_border_labels_are_ignored():
    taken = crop(Augmentation((HEIGHT + 6, WIDTH + 4), mirror=False), seed=3)
    valid = taken.labels != 255
    assert valid.sum() == HEIGHT * WIDTH
    rows, columns = np.nonzero(valid)
    window = taken.labels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert np.array_equal(window, coordinates().labels)


def test_mirror_flips_about_half_of_the_crops_left_to_right():
    sample = coordinates()
    flipped = 0
    for seed in range(200):
        taken = crop(Augmentation((HEIGHT, WIDTH)), seed)
        step = -1 if taken.labels[0, 0] else 1
        assert np.array_equal(taken.labels, sample.labels[:, ::step])
        assert np.array_equal(taken.image, sample.image[:, ::step].transpose(2, 0, 1))
        flipped += step == -1
    assert 70 < flipped < 130


def test_every_place_of_a_crop_is_drawn():
    corners = {int(crop(Augmentation((9, 12), mirror=False), seed).labels[0, 0]) for seed in range(200)}
    assert corners == {row * WIDTH + column for row in range(3) for column in range(2)}


@given(factor=st.floats(0.5, 2.0), mirror=st.booleans(), seed=st.integers(0, 100))
def test_scaled_image_and_labels_stay_together(factor, mirror, seed):
    """A ramp tells the column and a ramp the row; the labels are those of the nearest pixel."""
    height, width = 40, 50
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([5 * rows, 5 * columns, rows], axis=-1).astype(np.uint8)
    by_row = Sample("rows", image, rows.astype(np.uint8))
    by_column = Sample("columns", image, columns.astype(np.uint8))
    settings = Augmentation((32, 24), scale=(factor, factor), mirror=mirror)
    labels_of_rows = crop(settings, seed, sample=by_row)
    labels_of_columns = crop(settings, seed, sample=by_column)
    assert np.array_equal(labels_of_rows.image, labels_of_columns.image)
    valid = labels_of_rows.labels != 255
    assert np.array_equal(valid, labels_of_columns.labels != 255)
    # Nearest is up to half a pixel of the smaller image away, and at the border bilinear flattens.
    tolerance = 5 * (0.5 + 0.5 / min(factor, 1.0)) + 1
    for channel, taken in enumerate((labels_of_rows, labels_of_columns)):
        shown = taken.image[channel].astype(float)
        assert np.abs(shown - 5.0 * taken.labels)[valid].max() <= tolerance


def test_scale_is_drawn_between_its_ends_evenly_on_the_logarithm():
    sample = Sample("one", np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100), np.uint8))
    sides = []
    for seed in range(200):
        taken = crop(Augmentation((250, 250), scale=(0.5, 2.0)), seed, sample=sample)
        sides.append(int((taken.labels != 255).any(0).sum()))
    assert 50 <= min(sides) < 55
    assert 185 < max(sides) <= 200
    assert 60 < sum(side < 100 for side in sides) < 140


def test_scale_is_bilinear_for_the_image_and_nearest_for_the_labels():
    sample = coordinates(20, 12)
    taken = crop(Augmentation((40, 24), scale=(2.0, 2.0), mirror=False), sample=sample)
    rows, columns = np.indices((40, 24))
    assert np.array_equal(taken.labels, sample.labels[rows // 2, columns // 2])
    for channel, places in enumerate((rows, columns)):
        exact = ((places + 0.5) / 2 - 0.5).clip(0, places.max() // 2)
        assert np.abs(taken.image[channel] - exact).max() <= 0.5  # rounded to whole grey levels


def test_color_changes_the_image_by_its_strength_and_never_the_labels():
    gray = Sample("gray", np.full((4, 4, 3), 128, np.uint8), np.zeros((4, 4), np.uint8))
    shown = []
    for seed in range(100):
        taken = crop(Augmentation((4, 4), color=0.2), seed, sample=gray)
        assert (taken.labels == 0).all()
        assert (taken.image == taken.image[:, :1, :1]).all()  # one change for the whole crop
        shown.append(taken.image[:, 0, 0].astype(int))
    shift = np.array(shown) - 128  # contrast leaves the middle, brightness moves it
    assert (np.abs(shift) <= 0.2 * 128 + 1).all()
    assert shift.min() < -15
    assert shift.max() > 15


def test_color_of_no_strength_changes_nothing_and_of_little_strength_little():
    ramp = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16)[..., None], 3, axis=2)
    sample = Sample("ramp", ramp, np.zeros((16, 16), np.uint8))
    for seed in range(20):
        taken = crop(Augmentation((16, 16), mirror=False, color=1e-4), seed, sample=sample)
        assert np.array_equal(taken.image, ramp.transpose(2, 0, 1))


def test_color_comes_after_the_crop_so_the_margin_has_it_too():
    taken = crop(Augmentation((HEIGHT, WIDTH), mirror=False, color=0.8), seed=5, margin=4)
    inner = taken.image[:, 4:-4, 4:-4]
    assert not np.array_equal(inner, coordinates().image.transpose(2, 0, 1))
    expected = np.pad(inner, ((0, 0), (4, 4), (4, 4)), mode="reflect")
    assert np.array_equal(taken.image, expected)


def test_the_same_generator_gives_the_same_crop():
    settings = Augmentation((8, 8), scale=(0.5, 2.0), color=0.4)
    first, second = crop(settings, 9, margin=2), crop(settings, 9, margin=2)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.labels, second.labels)


@pytest.mark.parametrize("height", [1, 2])
def test_an_image_of_one_pixel_fills_any_crop(height):
    sample = Sample("dot", np.full((height, 1, 3), 9, np.uint8), np.zeros((height, 1), np.uint8))
    taken = crop(Augmentation((5, 4), scale=(0.3, 0.3)), margin=6, sample=sample)
    assert (taken.image == 9).all()
    assert (taken.labels != 255).sum() == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crop_size": (0, 4)}, "crop_size"),
        ({"scale": (0.0, 1.0)}, "two positive factors"),
        ({"scale": (2.0, 1.0)}, "smaller first"),
        ({"color": 1.5}, "color"),
        ({"color": -0.1}, "color"),
    ],
)
def test_augmentation_refuses_what_cannot_be(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Augmentation(**{"crop_size": (4, 4)} | wrong)
