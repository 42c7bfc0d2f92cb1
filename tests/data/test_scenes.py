from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.labels import IGNORE
from atrous.data.open import open_dataset, splits
from atrous.data.samples import Samples
from atrous.data.scene_plan import (
    BORDER,
    CLEARANCE,
    CORE_LABEL,
    KINDS,
    RING_LABEL,
    RING_WIDTH,
    SIDE,
    plan_scene,
)
from atrous.data.scenes import NUM_LAYOUTS, PATH, Scenes
from atrous.errors import DataError
from atrous.models.compact import compact

CORES, RINGS = list(CORE_LABEL.values()), list(RING_LABEL.values())


def front_end_reach() -> int:
    """Pixels to each side that a pixel's label can hang on: half a window, and a cell of interpolation."""
    network = compact(6)
    return network.receptive_field // 2 + network.output_stride


def test_scenes_are_the_same_every_time():
    first, second = Scenes("val")[5], Scenes("val")[5]
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.labels, second.labels)


def test_another_seed_gives_other_scenes():
    assert not np.array_equal(Scenes("val")[0].labels, Scenes("val", seed=1)[0].labels)


def test_splits_share_no_layout():
    layouts = [
        (split, scenes.plan(index).places)
        for split, scenes in ((split, Scenes(split)) for split in NUM_LAYOUTS)
        for index in range(0, len(scenes), len(KINDS))
    ]
    assert len({places for _, places in layouts}) == len(layouts) == sum(NUM_LAYOUTS.values())


@pytest.mark.parametrize("split", NUM_LAYOUTS)
def test_every_scene_has_every_class_and_no_other(split):
    for index in (0, 1, len(Scenes(split)) - 1):
        sample = Scenes(split)[index]
        assert sample.image.shape == (SIDE, SIDE, 3)
        assert np.unique(sample.labels).tolist() == [0, 1, 2, 3, 4, 5]
        assert IGNORE not in sample.labels


def test_over_the_turns_of_a_layout_every_core_is_of_every_kind_once():
    scenes = Scenes("test")
    for first in range(0, len(scenes), len(KINDS)):
        turns = [scenes.plan(first + turn) for turn in range(len(KINDS))]
        assert len({turn.places for turn in turns}) == 1
        for kinds in zip(*(turn.kinds for turn in turns), strict=True):
            assert sorted(kinds) == sorted(KINDS)


@pytest.mark.parametrize("layout", range(4))
def test_windows_on_cores_are_identical_for_all_classes(layout):
    """The same texture in a red ring, in a blue ring and alone: not alike, but equal, pixel by pixel."""
    scenes = Scenes("test")
    samples = [scenes[3 * layout + turn] for turn in range(3)]
    reach = front_end_reach()
    seen = np.zeros((SIDE, SIDE), bool)
    for row, column in np.argwhere(np.isin(samples[0].labels, CORES)):
        seen[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = True
    for sample in samples[1:]:
        assert np.array_equal(sample.image[seen], samples[0].image[seen])
        assert not np.array_equal(sample.image, samples[0].image)
        assert (sample.labels != samples[0].labels)[np.isin(samples[0].labels, CORES)].all()


def test_no_ring_comes_nearer_to_a_core_than_the_clearance():
    for index in range(6):
        labels = Scenes("test")[index].labels
        cores, rings = np.argwhere(np.isin(labels, CORES)), np.argwhere(np.isin(labels, RINGS))
        for core in cores[::7]:
            assert np.hypot(*(rings - core).T).min() >= CLEARANCE


def test_a_ring_is_larger_than_the_front_end_sees_and_smaller_than_the_scene():
    window = 2 * front_end_reach() + 1
    for index in range(0, len(Scenes("test")), len(KINDS)):
        for place in Scenes("test").plan(index).places:
            inner_diameter = 2 * place.ring_radius - RING_WIDTH
            assert window * 2**0.5 < inner_diameter < SIDE


@given(seed=st.integers(0, 2**32), turn=st.integers(0, 2))
def test_plans_keep_their_distances(seed, turn):
    plan = plan_scene(np.random.default_rng(seed), turn=turn)
    for number, place in enumerate(plan.places):
        assert min(place.row, place.column) >= BORDER
        assert max(place.row, place.column) <= SIDE - BORDER
        for other in plan.places[:number]:
            apart = np.hypot(place.row - other.row, place.column - other.column)
            assert apart > place.ring_radius + other.ring_radius + RING_WIDTH
        for mark in plan.marks:
            distance = np.hypot(place.row - mark.row, place.column - mark.column)
            assert distance > place.core_radius + mark.size


def test_scenes_end_where_they_say():
    scenes = Scenes("val")
    assert len(scenes) == 24
    assert scenes[23].name == "val_023"
    with pytest.raises(IndexError, match="scene 24 of 24"):
        scenes[24]


def test_scenes_refuse_an_unknown_split():
    with pytest.raises(DataError, match='no split "vall"; did you mean "val"'):
        Scenes("vall")


def test_scenes_open_by_their_name_like_any_data_set():
    dataset = open_dataset(Path(PATH), "train")
    assert isinstance(dataset, Samples)
    assert dataset.label_set.num_classes == 6
    assert splits(Path(PATH)) == ("train", "val", "test")
    with pytest.raises(DataError, match="no split"):
        open_dataset(Path(PATH), "trains")
