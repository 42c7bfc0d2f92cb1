import numpy as np
import pytest

from atrous.data.annotations import (
    draw_circle_,
    draw_polygon_,
    load_annotations,
    polygon_area,
    to_points,
    uncovered_label,
)
from atrous.data.labels import LabelSet
from atrous.errors import DataError


def _encloses(polygon, x, y):
    """Even-odd rule by its definition: a ray to the right crosses the outline an odd number of times."""
    crossings = 0
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if (y0 <= y) != (y1 <= y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            crossings += 1
    return crossings % 2 == 1


@pytest.mark.parametrize("seed", range(30))
def test_draw_polygon_sets_the_pixels_whose_centers_it_encloses(seed):
    generator = np.random.default_rng(seed)
    polygon = generator.uniform(-6, 20, (generator.integers(3, 9), 2))  # partly outside, self-crossing too
    labels = np.full((11, 14), 7, dtype=np.uint8)
    draw_polygon_(labels, polygon, label=3)
    expected = [[3 if _encloses(polygon, x + 0.5, y + 0.5) else 7 for x in range(14)] for y in range(11)]
    np.testing.assert_array_equal(labels, expected)


def test_draw_polygon_covers_a_rectangle_exactly():
    labels = np.zeros((8, 9), dtype=np.uint8)
    draw_polygon_(labels, np.array([(2.0, 1.0), (6.0, 1.0), (6.0, 4.0), (2.0, 4.0)]), label=1)
    expected = np.zeros((8, 9))
    expected[1:4, 2:6] = 1
    np.testing.assert_array_equal(labels, expected)


def test_polygons_that_share_an_edge_cover_each_pixel_once():
    corners = np.array([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)])
    middle = np.array([4.5, 6.5])  # a pixel center
    covered = np.zeros((10, 10), dtype=np.int64)
    for index in range(4):
        labels = np.zeros((10, 10), dtype=np.uint8)
        draw_polygon_(labels, np.array([corners[index], corners[(index + 1) % 4], middle]), label=1)
        covered += labels
    np.testing.assert_array_equal(covered, 1)


@pytest.mark.parametrize("shift", [(-50, 0), (50, 0), (0, -50), (0, 50)])
def test_a_polygon_outside_the_image_draws_nothing(shift):
    labels = np.zeros((8, 9), dtype=np.uint8)
    draw_polygon_(labels, np.array([(1.0, 1.0), (6.0, 1.0), (3.0, 6.0)]) + shift, label=1)
    assert not labels.any()


def test_a_polygon_round_the_image_fills_it():
    labels = np.zeros((8, 9), dtype=np.uint8)
    draw_polygon_(labels, np.array([(-1e9, -1e9), (1e9, -1e9), (1e9, 1e9), (-1e9, 1e9)]), label=1)
    assert labels.all()


def test_draw_circle_sets_the_pixels_whose_centers_it_encloses():
    labels = np.zeros((9, 12), dtype=np.uint8)
    draw_circle_(labels, (7.2, 3.9), radius=4.0, label=2)
    expected = [
        [2 if np.hypot(x + 0.5 - 7.2, y + 0.5 - 3.9) <= 4 else 0 for x in range(12)] for y in range(9)
    ]
    np.testing.assert_array_equal(labels, expected)


def test_polygon_area_of_a_turned_square():
    square = np.array([(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)])
    assert polygon_area(3 * square + 100) == pytest.approx(18)
    assert polygon_area(square[::-1]) == pytest.approx(2)


def test_to_points_takes_flat_and_paired_numbers():
    np.testing.assert_array_equal(to_points([1, 2, 3.5, 4]), [(1, 2), (3.5, 4)])
    np.testing.assert_array_equal(to_points([[1, 2], [3.5, 4]]), [(1, 2), (3.5, 4)])


@pytest.mark.parametrize("numbers", [[1, 2, 3], [1, float("nan")], ["x", "y"], [[1], [2, 3]], [None, 1]])
def test_to_points_refuses_what_are_no_points(numbers):
    with pytest.raises((TypeError, ValueError)):
        to_points(numbers)


@pytest.mark.parametrize(
    ("names", "label"), [(("cat", "background"), 1), (("_Background_", "cat"), 0), (("cat", "dog"), 255)]
)
def test_uncovered_pixels_are_background_or_ignored(names, label):
    assert uncovered_label(LabelSet(names)) == label


@pytest.mark.parametrize("content", [b"{", b"", b"[1]", b"\xff", b"[" * 100_000])
def test_load_annotations_refuses_by_name(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json .*export"):
        load_annotations(tmp_path / "a.json")


def test_a_polygon_of_many_crossings_is_that_of_a_loop_over_rows():
    height, width, turns = 2000, 500, 1100
    random = np.random.default_rng(0)
    ends = np.stack([np.zeros(turns), np.full(turns, float(height))], 1).ravel()
    polygon = np.stack([np.sort(random.uniform(0, width, 2 * turns)), ends], 1)  # 4.4 million crossings
    labels = np.zeros((height, width), np.uint8)
    draw_polygon_(labels, polygon, label=1)
    follower = np.roll(polygon, -1, axis=0)
    for row in (0, 1, 999, 1998, 1999):
        share = (row + 0.5 - polygon[:, 1]) / (follower[:, 1] - polygon[:, 1] + 1e-300)
        crossed = (share >= 0) & (share < 1)
        places = (polygon[:, 0] + share * (follower[:, 0] - polygon[:, 0]))[crossed]
        inside = (places[:, None] <= np.arange(width) + 0.5).sum(0) % 2
        np.testing.assert_array_equal(labels[row], inside)


def test_a_polygon_that_crosses_more_rows_than_an_outline_is_refused():
    polygon = np.array([[0.5, 0.0], [0.5, 90_000.0]] * 10_000)
    with pytest.raises(DataError, match=r"20,000 corners crosses .* as no outline does"):
        draw_polygon_(np.zeros((90_000, 1), np.uint8), polygon, label=1)
