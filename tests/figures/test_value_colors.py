import numpy as np
import pytest

from atrous.figures.value_colors import color_depth, color_flow, color_wheel, span_of


def test_the_wheel_is_middlebury_s():
    """Baker et al. 2011: 15, 6, 4, 11, 13 and 6 steps between red, yellow, green, cyan, blue and magenta."""
    wheel = color_wheel()
    assert wheel.shape == (55, 3)
    corners = {0: (1, 0, 0), 15: (1, 1, 0), 21: (0, 1, 0), 25: (0, 1, 1), 36: (0, 0, 1), 49: (1, 0, 1)}
    for place, color in corners.items():
        np.testing.assert_array_equal(wheel[place], color)


def middlebury_color(u, v):
    """`computeColor` of Middlebury's C++ code, for one vector of at most length 1."""
    wheel = color_wheel()
    radius, angle = np.hypot(u, v), np.arctan2(-v, -u) / np.pi
    place = (angle + 1) / 2 * (len(wheel) - 1)
    first = int(place)
    color = []
    for channel in range(3):
        share = place - first
        value = (1 - share) * wheel[first][channel] + share * wheel[(first + 1) % 55][channel]
        value = 1 - radius * (1 - value) if radius <= 1 else value * 0.75
        color.append(int(255 * value))
    return color


def test_colors_of_flow_are_those_of_middlebury_s_code():
    flow = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 6, 7)).astype(np.float32)
    colors = color_flow(flow, longest=1.0)
    expected = [middlebury_color(*vector) for vector in flow.reshape(2, -1).T.astype(float).tolist()]
    np.testing.assert_array_equal(colors.reshape(-1, 3), expected)


@pytest.mark.parametrize(
    ("vector", "color"),
    [((0, 0), (255, 255, 255)), ((1, 0), (255, 0, 0)), ((np.nan, 0), (0, 0, 0)), ((2, 0), (191, 0, 0))],
)
def test_some_vectors_have_known_colors(vector, color):
    flow = np.array(vector, np.float32).reshape(2, 1, 1)
    assert tuple(color_flow(flow, longest=1.0)[0, 0]) == color


def test_near_is_bright_and_nothing_is_black():
    colors = color_depth(np.array([[1.0, 4.0, 16.0, np.nan]], np.float32))
    lightness = colors.astype(int).sum(-1)[0]
    assert lightness[0] > lightness[1] > lightness[2] > lightness[3] == 0
    assert not color_depth(np.full((2, 2), np.nan, np.float32)).any()


def test_colors_are_even_in_logarithms():
    first = color_depth(np.array([[2.0]], np.float32), span=(1, 4))
    assert np.array_equal(first, color_depth(np.array([[20.0]], np.float32), span=(10, 40)))
    assert span_of(np.array([np.nan, 2, 8], np.float32)) == (2, 8)
