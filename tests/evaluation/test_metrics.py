"""Counts and scores against loops over pixels."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.errors import ConfigError, DataError, ShapeError
from atrous.evaluation.metrics import Counts, Scores, confusion_matrix

K = 4
NAMES = ("sky", "road", "tree", "car")
KEYS = {
    "mean_iou",
    "per_class_iou",
    "absent_classes",
    "pixel_accuracy",
    "mean_class_accuracy",
    "frequency_weighted_iou",
    "boundary_f_score",
    "confusion_matrix",
    "per_class_dice",
    "foreground_dice",
}


def label_pair(seed, *, size=(6, 9), num_classes=K):
    """A label map and labels that agree in part; some classes missing, some pixels ignored."""
    rng = np.random.default_rng(seed)
    shown = rng.choice(num_classes, size=rng.integers(1, num_classes + 1), replace=False)
    labels = rng.choice(shown, size=size).astype(np.uint8)
    label_map = np.where(rng.random(size) < 0.6, labels, rng.integers(0, num_classes, size)).astype(np.int64)
    labels[rng.random(size) < rng.choice([0.0, 0.3, 1.0], p=[0.4, 0.5, 0.1])] = 255
    return label_map, labels


def scores_of(label_map, labels, *, names=NAMES):
    return Scores.from_counts(Counts.of_image(label_map, labels, len(names)), names=names)


seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds)
@settings(deadline=None)
def test_confusion_matrix_counts_pixels_one_by_one(seed):
    label_map, labels = label_pair(seed)
    slow = np.zeros((K, K), int)
    for truth, predicted in zip(labels.flat, label_map.flat, strict=True):
        if truth != 255:
            slow[truth, predicted] += 1
    ours = confusion_matrix(label_map, labels, K)
    assert ours.dtype == np.int64
    assert (ours == slow).all()


@given(seed=seeds)
@settings(deadline=None)
def test_scores_equal_their_definitions(seed):
    label_map, labels = label_pair(seed)
    valid = labels != 255
    ious, accuracies, weighted = {}, {}, 0.0
    for index, name in enumerate(NAMES):
        truth, predicted = valid & (labels == index), valid & (label_map == index)
        if (truth | predicted).any():
            ious[name] = (truth & predicted).sum() / (truth | predicted).sum()
        if truth.any():
            accuracies[name] = (truth & predicted).sum() / truth.sum()
            weighted += truth.sum() / valid.sum() * ious[name]
    scores = scores_of(label_map, labels)
    assert scores.per_class_iou == pytest.approx(ious)
    assert list(scores.per_class_iou) == list(ious)
    assert scores.absent_classes == tuple(name for name in NAMES if name not in accuracies)
    if accuracies:
        assert scores.mean_iou == pytest.approx(np.mean([ious[name] for name in accuracies]))
        assert scores.mean_class_accuracy == pytest.approx(np.mean(list(accuracies.values())))
        assert scores.frequency_weighted_iou == pytest.approx(weighted)
        assert scores.pixel_accuracy == pytest.approx((label_map == labels)[valid].mean())


@given(seed=seeds)
@settings(deadline=None)
def test_scores_are_plain_numbers_between_0_and_1(seed):
    fields = scores_of(*label_pair(seed)).to_dict()
    assert set(fields) == KEYS
    assert json.loads(json.dumps(fields, allow_nan=False)) == fields
    numbers = [value for value in fields.values() if isinstance(value, float)]
    assert len(numbers) == 5
    per_class = fields["per_class_iou"]
    assert isinstance(per_class, dict)
    assert all(0 <= number <= 1 for number in (*numbers, *per_class.values()))


@given(seed=seeds)
@settings(deadline=None)
def test_dice_is_twice_the_overlap_over_both_sizes(seed):
    label_map, labels = label_pair(seed)
    names = ("Background", "road", "tree", "car")
    scores = scores_of(label_map, labels, names=names)
    valid, foreground = labels != 255, []
    for index, name in enumerate(names):
        truth, found = (labels == index)[valid], (label_map == index)[valid]
        if truth.any() or found.any():
            dice = 2 * (truth & found).sum() / (truth.sum() + found.sum())
            assert scores.per_class_dice[name] == pytest.approx(dice)
            foreground += [dice] if index > 0 and truth.any() else []
    if foreground and (labels == 0).any():
        assert scores.foreground_dice == pytest.approx(np.mean(foreground))
        assert f"{100 * np.mean(foreground):.1f}" in scores.to_table()
    assert scores_of(label_map, labels).foreground_dice is None  # no class is called background


@given(seed=seeds)
@settings(deadline=None)
def test_a_perfect_label_map_scores_exactly_1(seed):
    _, labels = label_pair(seed)
    labels[0, 0] = 2
    scores = scores_of(np.where(labels == 255, 0, labels), labels)
    assert scores.mean_iou == scores.pixel_accuracy == scores.mean_class_accuracy == 1
    assert scores.frequency_weighted_iou == scores.boundary_f_score == 1
    assert set(scores.per_class_iou.values()) == {1.0}


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_counts_add_up_over_images(seed):
    pairs = [label_pair(seed + i) for i in range(3)]
    parts = [Counts.of_image(*pair, K) for pair in pairs]
    total = sum(parts, start=Counts.zeros(K))
    assert (total.confusion == np.sum([confusion_matrix(*pair, K) for pair in pairs], axis=0)).all()
    assert (total.boundary == np.sum([part.boundary for part in parts], axis=0)).all()
    assert (parts[0].confusion == confusion_matrix(*pairs[0], K)).all()  # not added in place


def test_a_class_only_predicted_is_absent_and_hurts_the_others():
    labels = np.zeros((2, 4), np.uint8)
    label_map = np.array([[0, 0, 0, 0], [0, 0, 0, 3]])
    scores = scores_of(label_map, labels)
    assert scores.per_class_iou == {"sky": 7 / 8, "car": 0.0}
    assert scores.absent_classes == ("road", "tree", "car")
    assert scores.mean_iou == 7 / 8


def test_without_labeled_pixels_every_score_is_0():
    scores = scores_of(np.ones((3, 3), int), np.full((3, 3), 255, np.uint8))
    assert scores.mean_iou == scores.pixel_accuracy == scores.mean_class_accuracy == 0
    assert scores.frequency_weighted_iou == scores.boundary_f_score == 0
    assert scores.absent_classes == NAMES
    assert scores.per_class_iou == {}
    assert "not in the truth" in scores.to_table()


def test_label_map_counts_for_nothing_where_the_truth_is_ignored():
    labels = np.array([[0, 255], [1, 255]], np.uint8)
    assert scores_of(np.array([[0, 200], [1, 255]]), labels).pixel_accuracy == 1


def test_confusion_matrix_refuses_other_sizes():
    with pytest.raises(ShapeError, match=r"\(2, 3\) and labels \(3, 2\)"):
        confusion_matrix(np.zeros((2, 3), int), np.zeros((3, 2), int), K)


def test_confusion_matrix_refuses_classes_that_do_not_exist():
    zeros, four = np.zeros((1, 2), int), np.array([[0, 4]])
    with pytest.raises(DataError, match=r"labels hold classes 0\.\.4"):
        confusion_matrix(zeros, four, K)
    with pytest.raises(DataError, match=r"label map holds classes 0\.\.4"):
        confusion_matrix(four, zeros, K)
    with pytest.raises(DataError, match=r"label map holds classes -4\.\.0"):
        confusion_matrix(-four, zeros, K)


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "b")])
def test_scores_refuse_wrong_names(names):
    with pytest.raises(ConfigError, match="2 different names for 3 classes"):
        Scores.from_counts(Counts.zeros(3), names=names)


def test_table_shows_percent():
    labels = np.array([[0, 0, 0, 1], [0, 0, 0, 1]], np.uint8)
    label_map = np.array([[0, 0, 0, 0], [0, 0, 0, 3]])
    lines = scores_of(label_map, labels).to_table().splitlines()
    assert lines[0].split() == ["class", "IoU", "Dice", "accuracy", "pixels"]
    assert lines[1].split() == ["sky", "85.7", "92.3", "100.0", "75.0"]
    assert lines[2].split() == ["road", "0.0", "0.0", "0.0", "25.0"]
    assert lines[3].split() == ["car", "0.0", "0.0", "-", "0.0"]
    assert lines[4].split() == ["mean", "42.9", "46.2", "50.0"]
    assert "pixel accuracy            75.0" in lines
    assert lines[-1] == "not in the truth, not in the means: tree, car"
    assert len({len(line) for line in lines[:4]}) == 1


def test_metrics_do_without_torch():
    code = "import sys, atrous.evaluation.metrics; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
