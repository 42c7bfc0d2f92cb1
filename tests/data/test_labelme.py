import json
import pickle

import numpy as np
import pytest
from PIL import Image

from atrous.data.labelme import find_labelme_splits, open_labelme
from atrous.errors import DataError


@pytest.fixture
def save(tmp_path):
    """Saves an image of 10 x 8 px with shapes (label, type, points); the classes are background, cat, dog."""
    (tmp_path / "labels.toml").write_text('names = ["background", "cat", "dog"]')

    def save(*shapes, **fields):
        (tmp_path / "train").mkdir(exist_ok=True)
        Image.new("RGB", (10, 8)).save(tmp_path / "train" / "a.jpg")
        listed = [{"label": label, "shape_type": kind, "points": points} for label, kind, points in shapes]
        content = {"version": "5.4.1", "imageHeight": 8, "imageWidth": 10, "shapes": listed, **fields}
        (tmp_path / "train" / "a.json").write_text(json.dumps(content))
        return tmp_path

    return save


def test_shapes_are_drawn_in_their_order(save):
    root = save(
        ("cat", "polygon", [[1, 1], [5, 1], [5, 5], [1, 5]]),
        ("dog", "rectangle", [[6, 7], [3, 3]]),  # any two opposite corners
        ("__ignore__", None, [[0, 0], [2, 0], [2, 2], [0, 2]]),  # files of old versions name no type
    )
    expected = np.zeros((8, 10))
    expected[1:5, 1:5] = 1
    expected[3:7, 3:6] = 2
    expected[:2, :2] = 255
    dataset = open_labelme(root, "train")
    assert dataset.label_set.names == ("background", "cat", "dog")
    np.testing.assert_array_equal(dataset[0].labels, expected)


def test_a_circle_is_its_center_and_a_point_on_it(save):
    labels = open_labelme(save(("cat", "circle", [[4, 4], [4, 7]])), "train")[0].labels
    expected = [[np.hypot(x - 3.5, y - 3.5) <= 3 for x in range(10)] for y in range(8)]
    np.testing.assert_array_equal(labels, expected)


def test_uncovered_pixels_are_ignored_where_no_class_is_background(save):
    root = save(("cat", "rectangle", [[0, 0], [10, 4]]))
    (root / "labels.toml").write_text('names = ["cat"]')
    labels = open_labelme(root, "train")[0].labels
    assert (labels[:4] == 0).all()
    assert (labels[4:] == 255).all()


def test_a_dataset_of_shapes_survives_pickling(save):
    dataset = open_labelme(save(("cat", "rectangle", [[0, 0], [10, 4]])), "train")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(dataset))[0].labels, dataset[0].labels)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            ("cats", "polygon", [[0, 0], [1, 0], [1, 1]]),
            r'label "cats", which labels\.toml does not name; did you mean "cat"',
        ),
        (("cat", "line", [[0, 0], [1, 0]]), '"cat" of type line with 2 points, which encloses no region'),
        (("cat", "polygon", [[0, 0], [1, 0]]), '"cat" of type polygon with 2 points'),
        (("cat", "rectangle", [[0, 0]]), '"cat" of type rectangle with 1 points'),
        (("cat", "polygon", [[0, "x"]]), "without pairs of numbers"),
        (("cat", "polygon", None), "without pairs of numbers"),
    ],
)
def test_a_broken_shape_is_named_when_it_is_read(save, shape, message):
    dataset = open_labelme(save(shape), "train")
    with pytest.raises(DataError, match=message) as caught:
        dataset[0]
    assert "a.json" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"imageHeight": None}, r"a\.json does not say imageHeight"),
        ({"imageWidth": "10"}, r"a\.json does not say imageHeight"),
        ({"shapes": None}, r"a\.json has no list of shapes"),
        ({"shapes": ["cat"]}, r"a\.json has no list of shapes"),
        ({"imageWidth": 11}, r"a\.jpg is 10 x 8 px and its mask .*a\.json 11 x 8 px"),
    ],
)
def test_a_broken_file_is_named_when_it_is_read(save, fields, message):
    dataset = open_labelme(save(**fields), "train")
    with pytest.raises(DataError, match=message):
        dataset[0]


def test_missing_partners_are_named_when_they_are_read(save):
    root = save()
    Image.new("RGB", (10, 8)).save(root / "train" / "b.jpg")
    (root / "train" / "c.json").write_text("{}")
    dataset = open_labelme(root, "train")
    assert [pair.name for pair in dataset.pairs] == ["a", "b", "c"]
    with pytest.raises(DataError, match=r"b\.jpg has no mask: .*b\.json is missing"):
        dataset[1]
    with pytest.raises(DataError, match=r"c\.json has no image: .*c\.jpg is missing"):
        dataset[2]


def test_labels_toml_is_needed(save):
    root = save()
    (root / "labels.toml").unlink()
    with pytest.raises(DataError, match=r"labels\.toml is missing.*names = \["):
        open_labelme(root, "train")


def test_find_labelme_splits_takes_folders_with_json(save):
    root = save()
    (root / "notes").mkdir()
    assert find_labelme_splits(root) == ("train",)
