"""Reflection against numpy.pad, which reflects as often as the distance asks for."""

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.export import Dim

from atrous.errors import ShapeError
from atrous.ops.pad import pad_reflect, reflected_index

sizes = st.integers(1, 7)
paddings = st.tuples(st.integers(0, 23), st.integers(0, 23))


@settings(deadline=None)
@given(size=sizes, padding=paddings)
def test_reflected_index_is_numpy_reflection_at_any_distance(size, padding):
    expected = np.pad(np.arange(size), padding, mode="reflect")
    index = reflected_index(-padding[0], size + padding[1], size)
    np.testing.assert_array_equal(index, expected)
    assert index.dtype == np.int64


def test_reflected_index_reads_a_window_wholly_outside():
    np.testing.assert_array_equal(reflected_index(8, 13, 5), [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(reflected_index(-7, -3, 5), [1, 2, 3, 4])


def test_reflected_index_does_not_repeat_the_border_pixel():
    np.testing.assert_array_equal(reflected_index(-2, 5, 3), [2, 1, 0, 1, 2, 1, 0])


@settings(deadline=None)
@given(height=sizes, width=sizes, vertical=paddings, horizontal=paddings)
def test_pad_reflect_is_numpy_reflection_in_two_dimensions(height, width, vertical, horizontal):
    images = np.random.default_rng(0).integers(0, 255, (2, 3, height, width), dtype=np.uint8)
    padded = pad_reflect(torch.from_numpy(images), [vertical, horizontal])
    np.testing.assert_array_equal(
        padded, np.pad(images, [(0, 0), (0, 0), vertical, horizontal], mode="reflect")
    )


@pytest.mark.parametrize("spatial", [(5,), (1,), (2, 1, 4)])
def test_pad_reflect_works_in_one_and_three_dimensions(spatial):
    volume = torch.rand(2, 1, *spatial)
    padding = [(9, 4), (0, 3), (2, 0)][: len(spatial)]
    expected = np.pad(volume.numpy(), [(0, 0), (0, 0), *padding], mode="reflect")
    np.testing.assert_array_equal(pad_reflect(volume, padding), expected)


def test_pad_reflect_sends_the_gradient_to_every_copy():
    image = torch.zeros(1, 1, 3, requires_grad=True)
    pad_reflect(image, [(4, 2)]).sum().backward()  # 0 1 2 1 | 0 1 2 | 1 0
    assert image.grad is not None
    np.testing.assert_array_equal(image.grad[0, 0], [3, 4, 2])


def test_pad_reflect_exports_with_dynamic_height_and_width(monkeypatch):
    class Margin(torch.nn.Module):
        def forward(self, images):
            return pad_reflect(images, [(6, 6), (6, 7)])

    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # a symbolic size is no int
    program = torch.export.export(
        Margin(), (torch.rand(1, 3, 8, 9),), dynamic_shapes=({2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)
    ).module()
    for height, width in [(8, 9), (13, 3), (2, 30)]:
        images = torch.rand(1, 3, height, width)
        assert torch.equal(program(images), Margin()(images))


def test_reflection_refuses_an_empty_axis():
    with pytest.raises(ShapeError, match="size 0 has nothing to reflect; give at least one pixel"):
        reflected_index(0, 4, 0)
    with pytest.raises(ShapeError, match="size 0 has nothing to reflect"):
        pad_reflect(torch.zeros(1, 1, 0, 4), [(1, 0), (0, 0)])


def test_pad_reflect_refuses_negative_padding():
    with pytest.raises(ShapeError, match=r"padding \(2, -1\) is negative; .* slice to crop"):
        pad_reflect(torch.zeros(1, 1, 4), [(2, -1)])


def test_pad_reflect_refuses_a_missing_axis():
    with pytest.raises(
        ShapeError, match=r"1 paddings for 2 spatial axes; give one \(before, after\) an axis"
    ):
        pad_reflect(torch.zeros(1, 1, 4, 4), [(1, 1)])
