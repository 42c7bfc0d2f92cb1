"""Boundary counts against distances between all pairs of pixels."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.evaluation.boundary import boundary_counts
from atrous.evaluation.metrics import Counts, Scores


def boundary_slowly(classes, index):
    """Coordinates of the boundary pixels of one class."""
    height, width = classes.shape
    found = []
    for y in range(height):
        for x in range(width):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inside = [classes[v, u] for v, u in around if 0 <= v < height and 0 <= u < width]
            if classes[y, x] == index and any(value != index for value in inside):
                found.append((y, x))
    return found


def counts_slowly(label_map, labels, num_classes):
    predicted = np.where(labels == 255, 255, label_map)
    reach = max(1, 0.0075 * math.hypot(*labels.shape))
    rows = []
    for index in range(num_classes):
        in_map, in_truth = boundary_slowly(predicted, index), boundary_slowly(labels, index)
        near_truth = [p for p in in_map if any(math.dist(p, q) <= reach for q in in_truth)]
        near_map = [p for p in in_truth if any(math.dist(p, q) <= reach for q in in_map)]
        rows.append([len(in_map), len(near_truth), len(in_truth), len(near_map)])
    return rows


def blobs(seed, size, num_classes):
    """Labels in patches, and a label map with the patches moved."""
    rng = np.random.default_rng(seed)
    side = int(rng.integers(1, 5))
    rows, columns = size[0] // side + 2, size[1] // side + 2
    coarse = rng.integers(0, num_classes, (rows, columns))
    fine = np.kron(coarse, np.ones((side, side), int))
    dy, dx = rng.integers(0, side + 1, 2)
    labels = fine[: size[0], : size[1]].astype(np.uint8)
    label_map = fine[dy : dy + size[0], dx : dx + size[1]]
    labels[rng.random(size) < rng.choice([0.0, 0.1])] = 255
    return label_map, labels


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    num_classes=st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_boundary_counts_equal_brute_force(seed, size, num_classes):
    label_map, labels = blobs(seed, size, num_classes)
    assert boundary_counts(label_map, labels, num_classes).tolist() == counts_slowly(
        label_map, labels, num_classes
    )


def volume_counts_slowly(label_map, labels, num_classes, spacing):
    """The definition in space: six neighbors, distances in millimeters."""
    predicted = np.where(labels == 255, 255, label_map)
    reach = max(*spacing, 0.0075 * math.dist((0, 0, 0), np.multiply(spacing, labels.shape)))

    def outline(classes, index):
        for place in np.argwhere(classes == index):
            around = [place + step for step in (*np.eye(3, dtype=int), *-np.eye(3, dtype=int))]
            inside = [classes[tuple(at)] for at in around if all(at >= 0) and all(at < classes.shape)]
            if any(value != index for value in inside):
                yield place * spacing

    rows = []
    for index in range(num_classes):
        in_map, in_truth = list(outline(predicted, index)), list(outline(labels, index))
        near = [
            sum(any(math.dist(p, q) <= reach * (1 + 1e-9) for q in others) for p in places)
            for places, others in ((in_map, in_truth), (in_truth, in_map))
        ]
        rows.append([len(in_map), near[0], len(in_truth), near[1]])
    return rows


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(*[st.integers(1, 6)] * 3),
    spacing=st.sampled_from([(1.0, 1.0, 1.0), (0.7, 0.7, 2.1), (3.0, 0.5, 1.0), (0.1, 0.3, 0.2)]),
)
@settings(max_examples=40, deadline=None)
def test_boundary_counts_of_volumes_equal_brute_force(seed, size, spacing):
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 3, (2, 2, 2)), np.ones((3, 3, 3), int))[: size[0], : size[1], : size[2]]
    label_map = np.roll(labels, rng.integers(-1, 2, 3), (0, 1, 2))
    labels = np.where(rng.random(labels.shape) < 0.05, 255, labels).astype(np.uint8)
    ours = boundary_counts(label_map, labels, 3, spacing=spacing)
    assert ours.tolist() == volume_counts_slowly(label_map, labels, 3, spacing)


@pytest.mark.parametrize("size", [(1, 500), (500, 1), (3, 460), (330, 2)])
def test_tolerance_grows_with_the_diagonal(size):  # beyond 1 px only from a diagonal of 134 px on
    rng = np.random.default_rng(0)
    labels = (rng.random(size) < 0.02).astype(np.uint8)
    label_map = (rng.random(size) < 0.02).astype(np.int64)
    assert boundary_counts(label_map, labels, 2).tolist() == counts_slowly(label_map, labels, 2)


@pytest.mark.parametrize(("shift", "near"), [(0, 1), (3, 1), (4, 1), (5, 0)])
def test_camvid_boundaries_match_within_4_pixels(shift, near):  # 0.75% of 600 px are 4.5 px
    labels = np.zeros((360, 480), np.uint8)
    labels[:, 240:] = 1
    label_map = np.zeros((360, 480), np.int64)
    label_map[:, 240 + shift :] = 1
    counts = boundary_counts(label_map, labels, 2)
    assert counts.tolist() == [[360, 360 * near, 360, 360 * near]] * 2
    scores = Scores.from_counts(Counts.of_image(label_map, labels, 2), names=("left", "right"))
    assert scores.boundary_f_score == near


def test_more_classes_than_a_machine_word_has_bits():
    rng = np.random.default_rng(1)
    label_map, labels = rng.integers(0, 150, (9, 11)), rng.integers(0, 150, (9, 11)).astype(np.uint8)
    labels[2:4, 3:6] = label_map[2:4, 3:6]
    assert boundary_counts(label_map, labels, 150).tolist() == counts_slowly(label_map, labels, 150)


def test_boundary_f_score_is_the_harmonic_mean_over_summed_counts():
    boundary = np.array([[10, 5, 20, 20], [0, 0, 7, 0], [0, 0, 0, 0], [4, 0, 0, 0]])
    confusion = np.diag([1, 1, 1, 0])
    scores = Scores.from_counts(Counts(confusion, boundary), names=("a", "b", "c", "not in truth"))
    # precision 1/2 and recall 1; a boundary missed; no boundary to find
    assert scores.boundary_f_score == pytest.approx((2 * 0.5 / 1.5 + 0 + 1) / 3)


def test_boundary_in_the_ignored_region_is_no_mistake():
    labels = np.zeros((20, 20), np.uint8)
    labels[:, 8:12] = 255
    labels[:, 12:] = 1
    label_map = np.zeros((20, 20), np.int64)
    label_map[:, 10:] = 1
    label_map[5:9, 9:11] = 2
    scores = Scores.from_counts(Counts.of_image(label_map, labels, 3), names=("a", "b", "c"))
    assert scores.boundary_f_score == 1
