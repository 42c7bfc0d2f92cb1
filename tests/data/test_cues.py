"""Scenes whose labels hang on a cue at a known distance: what may know them, and what cannot."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atrous.data.cues import CEILING, FRAME, IN_BLUE, IN_RED, LABEL_SET, NUM_LAYOUTS, TARGET, Cues
from atrous.errors import DataError
from atrous.evaluation.metrics import Counts, Scores
from atrous.jobs.train import TrainConfig, train
from atrous.models.catalog import build_network
from atrous.models.contract import LogitGeometry
from atrous.training.settings import Stage


def pair(distance, layout=0, split="test"):
    scenes = Cues(split, distance)
    return scenes[2 * layout], scenes[2 * layout + 1]


def reach(geometry: LogitGeometry) -> int:
    """Pixels to each side that a pixel's label can hang on: half a window, and a cell of interpolation."""
    return geometry.receptive_field // 2 + geometry.output_stride


def windows(sample, *, reach):
    """The part of the image within that reach of a pixel of the target, on either axis, as one mask."""
    seen = np.zeros(sample.labels.shape, bool)
    for row, column in np.argwhere(sample.labels >= IN_RED):
        seen[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = True
    return seen


@pytest.mark.parametrize("distance", [1, 7, 40])
@pytest.mark.parametrize("layout", range(3))
def test_what_reaches_less_than_the_distance_sees_the_same_for_both_labels(distance, layout):
    first, second = pair(distance, layout)
    target = first.labels >= IN_RED
    assert np.array_equal(target, second.labels >= IN_RED)
    assert {*first.labels[target], *second.labels[target]} == {IN_RED, IN_BLUE}
    assert (first.labels != second.labels)[target].all()
    near = windows(first, reach=distance - 1)
    assert np.array_equal(first.image[near], second.image[near])
    far = windows(first, reach=distance)
    assert not np.array_equal(first.image[far], second.image[far])


@pytest.mark.parametrize("distance", [1, 7, 40])
def test_what_reaches_far_enough_sees_the_cue_from_every_pixel_of_the_target(distance):
    first, second = pair(distance)
    reach = Cues("test", distance).sufficient_reach
    differs = (first.image != second.image).any(2)
    for row, column in np.argwhere(first.labels >= IN_RED):
        top, left = max(0, row - reach), max(0, column - reach)
        assert differs[top : row + reach + 1, left : column + reach + 1].any()


def test_without_the_cue_no_guess_scores_above_the_ceiling():
    """Every share of the target that may be called red, the same in both scenes, all else perfect."""
    best = 0.0
    for num_red in range(0, TARGET**2 + 1, 16):
        total = Counts.zeros(LABEL_SET.num_classes)
        for sample in pair(5):
            guess = sample.labels.copy()
            guess[guess >= IN_RED] = np.where(np.arange(TARGET**2) < num_red, IN_RED, IN_BLUE)
            total += Counts.of_image(guess, sample.labels, LABEL_SET.num_classes)
        scores = Scores.from_counts(total, names=LABEL_SET.names)
        assert scores.confusion_matrix.diagonal()[IN_RED:].sum() == TARGET**2  # right on one half, always
        best = max(best, scores.mean_iou)
    assert best == pytest.approx(CEILING)


def test_frames_lie_inside_and_touch_no_target():
    for distance in (1, 30):
        scenes = Cues("train", distance)
        for index in range(0, len(scenes), 16):
            sample, other = scenes[index], scenes[index + 1]
            rows, columns = np.nonzero((sample.image != other.image).any(2))
            spans = [int(np.ptp(places)) + 1 for places in (rows, columns)]
            assert spans == [TARGET + 2 * (distance - 1 + FRAME)] * 2


def test_scenes_are_the_same_every_time_and_splits_share_no_layout():
    assert np.array_equal(pair(20)[0].image, pair(20)[0].image)
    counts = NUM_LAYOUTS.items()
    images = [Cues(split, 3)[2 * layout].image for split, count in counts for layout in range(count)]
    assert len({image.tobytes() for image in images}) == len(images)
    assert not np.array_equal(Cues("val", 20, seed=1)[0].image, Cues("val", 20)[0].image)


def test_scenes_end_where_they_say():
    scenes = Cues("val", 12)
    assert len(scenes) == 16
    assert scenes[15].name == "val_015"
    with pytest.raises(IndexError, match="scene 16 of 16; the last is 15"):
        scenes[16]


def test_impossible_scenes_are_refused():
    with pytest.raises(DataError, match='builtin:cues-9 has no split "vall"; did you mean "val"'):
        Cues("vall", 9)
    with pytest.raises(DataError, match="cues are 1 to 400 px away, not 0; give such a distance"):
        Cues("val", 0)


STAGE = Stage(
    num_steps=60,
    batch_size=8,
    crop_size=(96, 96),
    mirror=False,
    optimizer="adamw",
    learning_rate=5e-3,
    weight_decay=0.01,
    warmup_steps=10,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "distance", "can_know", "stages"),
    [
        ("compact", 21, False, {"front_end": STAGE}),  # sees 16 px to each side, 20 with interpolation
        ("compact", 4, True, {"front_end": STAGE}),
        ("compact_context", 21, True, {"front_end": STAGE, "context": STAGE}),
        ("naive_no_pooling", 8, False, {"front_end": replace(STAGE, num_steps=10)}),  # 6 px; 7
    ],
)
def test_networks_fail_or_succeed_by_what_they_see(network, distance, can_know, stages, tmp_path):
    geometry = build_network(network, num_classes=LABEL_SET.num_classes).geometry
    assert (reach(geometry) < distance) is not can_know
    assert not can_know or geometry.receptive_field // 2 >= Cues("test", distance).sufficient_reach
    config = TrainConfig(
        data=Path(f"builtin:cues-{distance}"),
        output=tmp_path / "run",
        network=network,
        device="cpu",
        precision="float32",
        val_split="test",
        **stages,
    )
    *_, scores = train(config).scores.values()
    assert isinstance(scores, Scores)
    on_target = scores.confusion_matrix[IN_RED:]
    right = on_target[0, IN_RED] + on_target[1, IN_BLUE]
    if can_know:
        assert right / on_target.sum() > 0.9
        assert scores.mean_iou > CEILING
    else:
        assert on_target[0].tolist() == on_target[1].tolist()  # it says the same of both, to the pixel
        assert right / on_target.sum() <= 0.5
        assert scores.mean_iou <= CEILING
