"""Overlays pixel by pixel, and what a legend leaves of the image."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.errors import ConfigError, DataError, ShapeError
from atrous.figures.overlay import add_legend, overlay

PALETTE = ((255, 0, 0), (0, 255, 0), (10, 20, 200))
NAMES = ("barn", "grass", "sky & straße")


def scene(seed=0, *, size=(5, 8)):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    return image, rng.choice([0, 1, 2, 255], size)


@given(seed=st.integers(0, 2**32 - 1), opacity=st.floats(0, 1))
@settings(deadline=None)
def test_overlay_mixes_every_pixel_with_the_color_of_its_label(seed, opacity):
    image, label_map = scene(seed, size=(2, 3))
    ours = overlay(image, label_map, PALETTE, opacity=opacity)
    assert ours.dtype == np.uint8
    for y, x in np.ndindex(2, 3):
        color = image[y, x] if label_map[y, x] == 255 else np.array(PALETTE[label_map[y, x]])
        mixed = (1 - opacity) * image[y, x] + opacity * color
        assert np.abs(ours[y, x] - mixed).max() <= 0.5 + 1e-3


def test_overlay_of_opacity_0_is_the_image():
    image, label_map = scene()
    assert (overlay(image, label_map, PALETTE, opacity=0.0) == image).all()


def test_overlay_of_opacity_1_is_the_palette_outside_of_ignored_pixels():
    image, label_map = scene()
    colored = label_map != 255
    ours = overlay(image, label_map, PALETTE, opacity=1.0)
    assert (ours[colored] == np.array(PALETTE)[label_map[colored]]).all()
    assert (ours[~colored] == image[~colored]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_overlay_leaves_its_arguments_alone(dtype):
    image, label_map = scene()
    before = image.copy()
    overlay(image, label_map.astype(dtype), PALETTE)
    assert (image == before).all()


def test_overlay_refuses_another_size():
    image, label_map = scene()
    with pytest.raises(ShapeError, match=r"image \(5, 8\) and label map \(5, 7\)"):
        overlay(image, label_map[:, :7], PALETTE)


@pytest.mark.parametrize("label", [3, -1, 254])
def test_overlay_refuses_a_label_without_color(label):
    image, label_map = scene()
    label_map[2, 2] = label
    with pytest.raises(DataError, match=f"label {label} has no color"):
        overlay(image, label_map, PALETTE)


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
def test_overlay_refuses_opacity_outside_0_to_1(opacity):
    with pytest.raises(ConfigError, match="opacity"):
        overlay(*scene(), PALETTE, opacity=opacity)


@pytest.mark.parametrize("size", [(40, 30), (360, 480), (100, 2000)])
def test_legend_stands_below_the_image_and_shows_each_color(size):
    image, _ = scene(size=size)
    ours = add_legend(image, NAMES, PALETTE)
    assert (ours[: size[0], : size[1]] == image).all()
    strip = ours[size[0] :].reshape(-1, 3)
    assert ours.shape[1] >= size[1]
    letters = min(max(size[1] // 40, 12), 32)
    for color in PALETTE:
        assert (strip == color).all(1).sum() >= (letters - 1) ** 2
    assert (ours[-1] == 255).all()


def test_legend_is_as_wide_as_an_image_that_is_wide_enough():
    assert add_legend(np.zeros((50, 480, 3), np.uint8), NAMES, PALETTE).shape[1] == 480


def test_legend_breaks_into_lines():
    image = np.zeros((50, 480, 3), np.uint8)
    one, many = (add_legend(image, ["class"] * n, [(9, 9, 9)] * n).shape[0] for n in (2, 20))
    assert many > one > 50


def test_legend_of_nothing_is_the_image():
    image, _ = scene()
    assert (add_legend(image, (), ()) == image).all()


def test_legend_refuses_names_without_colors():
    with pytest.raises(ConfigError, match="3 names for 2 colors"):
        add_legend(scene()[0], NAMES, PALETTE[:2])


def test_overlay_loads_neither_torch_nor_matplotlib():
    code = "import sys, atrous.figures.overlay; print({'torch', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
