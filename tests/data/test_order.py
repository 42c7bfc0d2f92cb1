import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.camvid import CAMVID_LABELS, CAMVID_RELEASED_LABELS
from atrous.data.cityscapes import CITYSCAPES_LABELS
from atrous.data.folder import Sample
from atrous.data.kitti import KITTI_LABELS
from atrous.data.labels import LabelSet
from atrous.data.open import open_dataset
from atrous.data.order import SYNONYMS, class_order, in_order_of
from atrous.data.samples import Samples
from atrous.data.scenes import Scenes
from atrous.data.voc import VOC_LABELS
from atrous.errors import DataError

ROAD_SCENES = (CAMVID_LABELS, CAMVID_RELEASED_LABELS, KITTI_LABELS)


@dataclass(frozen=True)
class Fixed:
    """Samples of these label maps."""

    label_set: LabelSet
    maps: tuple[np.ndarray, ...]

    def __len__(self):
        return len(self.maps)

    def __getitem__(self, index):
        labels = self.maps[index]
        return Sample(str(index), np.zeros((*labels.shape, 3), np.uint8), labels)


def _all_labels(label_set):
    return Fixed(label_set, (np.array([[*range(label_set.num_classes), 255]], np.uint8),))


@given(names=st.lists(st.text("ab", min_size=1), min_size=1, unique=True), data=st.data())
def test_the_order_of_a_permutation_is_its_inverse(names, data):
    given_set = LabelSet(tuple(names))
    wanted = LabelSet(tuple(data.draw(st.permutations(names))))
    order = class_order(given_set, wanted)
    assert order is not None
    assert [wanted.names[label] for label in order] == names


@pytest.mark.parametrize("wanted", ROAD_SCENES)
@pytest.mark.parametrize("given", ROAD_SCENES)
def test_road_scenes_are_ordered_as_their_colors_are(given, wanted):  # the three data sets share their colors
    assert class_order(given, wanted) == tuple(wanted.palette.index(color) for color in given.palette)


def test_the_order_of_the_released_network_is_facts_section_6():
    # The copy: 0 Sky, 1 Building, 2 Pole, 3 Road, 4 Pavement, 5 Tree, 6 SignSymbol, 7 Fence, 8 Car, ...
    assert class_order(CAMVID_LABELS, CAMVID_RELEASED_LABELS) == (2, 0, 8, 5, 9, 1, 4, 7, 3, 6, 10)


@pytest.mark.parametrize(
    ("one", "other"),
    [("traffic light", "Traffic_Light"), ("traffic-light", "trafficlight"), ("STRASSE", "straße")],
)
def test_case_spaces_hyphens_and_underscores_do_not_count(one, other):
    assert class_order(LabelSet((one, "x")), LabelSet(("X", other))) == (1, 0)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (("a", "b"), ("a", "c")),
        (("a", "b"), ("a", "b", "c")),
        (("a", "b", "c"), ("a", "b")),
        (("rider", "car"), ("bicyclist", "car")),
        (("traffic sign", "car"), ("SignSymbol", "car")),
        (("Sidewalk", "Pavement"), ("Sidewalk", "Sign")),
    ],
)
def test_other_classes_have_no_order(given, wanted):
    assert class_order(LabelSet(given), LabelSet(wanted)) is None


@pytest.mark.parametrize("names", [("Sidewalk", "Pavement", "car"), ("a b", "a_b", "A-B")])
def test_names_that_are_alike_stay_apart_within_a_set(names):
    for wanted in (names, names[::-1]):
        assert class_order(LabelSet(names), LabelSet(wanted)) == tuple(wanted.index(name) for name in names)


def test_spelling_does_not_count_where_synonyms_stay_apart():
    given, wanted = LabelSet(("Sidewalk", "Pavement", "a b")), LabelSet(("a_b", "pavement", "sidewalk"))
    assert class_order(given, wanted) == (2, 1, 0)


def test_no_synonym_joins_two_classes_of_a_known_data_set():
    for label_set in (*ROAD_SCENES, CITYSCAPES_LABELS, VOC_LABELS):
        names = [name.lower() for name in label_set.names]
        assert not [name for name, other in SYNONYMS.items() if name in names and other in names]
    assert not SYNONYMS.keys() & set(SYNONYMS.values())


def test_samples_of_the_same_label_set_are_themselves():
    samples = _all_labels(KITTI_LABELS)
    assert in_order_of(samples, KITTI_LABELS) is samples


@pytest.mark.parametrize("wanted", ROAD_SCENES)
@pytest.mark.parametrize("given", ROAD_SCENES)
def test_labels_keep_their_color(given, wanted):
    samples = in_order_of(_all_labels(given), wanted)
    assert isinstance(samples, Samples)
    assert samples.label_set == wanted
    assert len(samples) == 1
    labels = samples[0].labels
    assert labels.dtype == np.uint8
    assert labels[0, -1] == 255
    colors = [wanted.palette[label] for label in labels[0, :-1]]
    assert colors == list(given.palette)


def test_other_colors_alone_change_no_label():
    wanted = LabelSet(("a", "b"), ((1, 2, 3), (4, 5, 6)))
    samples = in_order_of(_all_labels(LabelSet(("a", "b"))), wanted)
    assert samples.label_set.palette == wanted.palette
    np.testing.assert_array_equal(samples[0].labels, [[0, 1, 255]])


def test_255_classes_and_made_up_samples_are_ordered():
    names = tuple(f"class {label}" for label in range(255))
    samples = in_order_of(_all_labels(LabelSet(names)), LabelSet(names[::-1]))
    np.testing.assert_array_equal(samples[0].labels, [[*range(254, -1, -1), 255]])
    scenes = Scenes("val")
    wanted = LabelSet(scenes.label_set.names[::-1])
    last = scenes.label_set.num_classes - 1
    np.testing.assert_array_equal(in_order_of(scenes, wanted)[0].labels, last - scenes[0].labels)


@pytest.mark.parametrize(
    ("given", "wanted", "message"),
    [
        (
            CAMVID_LABELS,
            CITYSCAPES_LABELS,
            "the data have 11 classes and 19 are wanted; only in the data: SignS",
        ),
        (
            LabelSet(("road",)),
            LabelSet(("Road", "Sign")),
            "only in the data: none; only wanted: Sign; choose",
        ),
        (
            LabelSet(("Sidewalk", "Pavement")),
            LabelSet(("Sidewalk", "Sign")),
            "only in the data: Pavement; only wanted: Sign;",
        ),
    ],
)
def test_classes_that_do_not_match_are_named(given, wanted, message):
    with pytest.raises(DataError, match=message):
        in_order_of(_all_labels(given), wanted)


def test_threads_read_the_same():
    generator = np.random.default_rng(0)
    maps = tuple(generator.integers(0, 11, (20, 30), np.uint8) for _ in range(8))
    samples = in_order_of(Fixed(CAMVID_LABELS, maps), CAMVID_RELEASED_LABELS)
    gate = threading.Barrier(4)

    def read(thread):
        gate.wait()
        return [samples[index].labels for index in range(thread % 2, 8)]

    order = np.array(class_order(CAMVID_LABELS, CAMVID_RELEASED_LABELS))
    with ThreadPoolExecutor(4) as threads:
        for thread, found in enumerate(threads.map(read, range(4))):
            np.testing.assert_array_equal(found, [order[each] for each in maps[thread % 2 :]])


def test_the_common_copy_of_camvid_is_brought_into_the_released_order(shared_data):
    copy = open_dataset(shared_data / "camvid", "val")
    samples = in_order_of(copy, CAMVID_RELEASED_LABELS)
    assert len(samples) == 101
    released = np.array([*CAMVID_RELEASED_LABELS.palette, (0, 0, 0)])
    common = np.array([*CAMVID_LABELS.palette, (0, 0, 0)])
    for index in range(0, 101, 20):
        before, after = copy[index], samples[index]
        assert after.name == before.name
        np.testing.assert_array_equal(after.image, before.image)
        assert (after.labels != before.labels).mean() > 0.5
        np.testing.assert_array_equal(
            released[np.minimum(after.labels, 11)], common[np.minimum(before.labels, 11)]
        )
