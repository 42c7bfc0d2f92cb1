import json
import pickle

import numpy as np
import pytest
from PIL import Image

from atrous.data.coco import find_coco_splits, open_coco, open_coco_as
from atrous.data.labels import LabelSet
from atrous.errors import DataError


def _square(left, top, side):
    return [[left, top, left + side, top, left + side, top + side, left, top + side]]


def _annotation(number, category, segmentation, *, image=7, is_crowd=0):
    fields = {"id": number, "image_id": image, "category_id": category}
    return {**fields, "segmentation": segmentation, "iscrowd": is_crowd}


@pytest.fixture
def content():
    """One image of 10 x 8 px, a cat on a dog, categories 17 and 3."""
    return {
        "images": [{"id": 7, "file_name": "a.jpg", "height": 8, "width": 10}],
        "categories": [{"id": 17, "name": "cat"}, {"id": 3, "name": "dog"}],
        "annotations": [_annotation(1, 17, _square(2, 2, 2)), _annotation(2, 3, _square(1, 1, 6))],
    }


@pytest.fixture
def save(tmp_path):
    def save(content, *, file="instances_train.json", folder="train"):
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / "annotations" / file).write_text(json.dumps(content))
        for image in content["images"]:
            Image.new("RGB", (10, 8)).save(tmp_path / folder / image["file_name"])
        return tmp_path

    return save


def _expected(*squares, uncovered=0):
    labels = np.full((8, 10), uncovered)
    for left, top, side, label in squares:
        labels[top : top + side, left : left + side] = label
    return labels


def test_smaller_objects_lie_on_larger_ones_and_ids_become_labels(save, content):
    dataset = open_coco(save(content), "train")
    assert dataset.label_set.names == ("background", "dog", "cat")  # by category id
    np.testing.assert_array_equal(dataset[0].labels, _expected((1, 1, 6, 1), (2, 2, 2, 2)))
    assert dataset[0].name == "a"


def test_an_object_of_several_polygons_is_their_union(save, content):
    content["annotations"] = [_annotation(1, 3, _square(0, 0, 4) + _square(2, 2, 4))]
    labels = open_coco(save(content), "train")[0].labels
    np.testing.assert_array_equal(labels, _expected((0, 0, 4, 1), (2, 2, 4, 1)))


def test_crowds_are_ignored_below_all_objects(save, content):
    counts = [0, 40, 40]  # the left half of 10 x 8
    content["annotations"].append(_annotation(3, 17, {"size": [8, 10], "counts": counts}, is_crowd=1))
    expected = _expected((1, 1, 6, 1), (2, 2, 2, 2))
    expected[:, :5][expected[:, :5] == 0] = 255
    np.testing.assert_array_equal(open_coco(save(content), "train")[0].labels, expected)


def test_objects_given_by_packed_runs_are_drawn(save, content):
    content["annotations"] = [
        _annotation(1, 3, {"size": [8, 10], "counts": "X1`0h0"})
    ]  # 40 out, 16 in, 24 + 16 out
    labels = open_coco(save(content), "train")[0].labels
    np.testing.assert_array_equal(labels[0], [0, 0, 0, 0, 0, 1, 1, 0, 0, 0])


def test_labels_toml_orders_the_classes(save, content):
    root = save(content)
    (root / "labels.toml").write_text('names = ["cat", "dog"]\npalette = [[1, 2, 3], [4, 5, 6]]')
    dataset = open_coco(root, "train")
    assert dataset.label_set.palette == ((1, 2, 3), (4, 5, 6))
    np.testing.assert_array_equal(dataset[0].labels, _expected((1, 1, 6, 1), (2, 2, 2, 0), uncovered=255))


def test_labels_toml_must_name_every_category(save, content):
    root = save(content)
    (root / "labels.toml").write_text('names = ["background", "cats", "dog"]')
    with pytest.raises(
        DataError, match=r'category "cat", which labels\.toml does not name; did you mean "cats"'
    ):
        open_coco(root, "train")


def test_a_listed_image_without_objects_is_background(save, content):
    content["images"].append({"id": 8, "file_name": "b.jpg", "height": 8, "width": 10})
    np.testing.assert_array_equal(open_coco(save(content), "train")[1].labels, _expected())


def test_the_year_is_no_part_of_the_split(save, content):
    root = save(content, file="instances_train2017.json", folder="train2017")
    save(content, file="captions_train2017.json", folder="train2017")
    assert find_coco_splits(root) == ("train",)
    assert open_coco(root, "train").pairs[0].image_path == root / "train2017" / "a.jpg"


def test_two_years_are_two_splits(save, content):
    save(content, file="instances_train2014.json", folder="train2014")
    root = save(content, file="instances_train2017.json", folder="train2017")
    assert find_coco_splits(root) == ("train2014", "train2017")
    assert open_coco(root, "train2014").pairs[0].image_path == root / "train2014" / "a.jpg"


def test_two_annotation_files_are_refused(save, content):
    save(content, file="instances_train_a.json")
    with pytest.raises(
        DataError, match=r"2 files for train \(instances_train_a\.json, instances_train_b\.json\)"
    ):
        open_coco(save(content, file="instances_train_b.json"), "train")


def test_a_dataset_of_annotations_survives_pickling(save, content):
    dataset = open_coco(save(content), "train")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(dataset))[0].labels, dataset[0].labels)


def test_annotations_of_another_size_are_refused(save, content):
    content["images"][0]["height"] = 9
    with pytest.raises(
        DataError, match=r"a\.jpg is 10 x 8 px and its mask .*instances_train\.json 10 x 9 px"
    ):
        open_coco(save(content), "train")[0]


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1, 2, 3]],
        [["x", "y"]],
        [[1, float("nan")]],
        5,
        {},
        {"counts": None},
        {"counts": []},
        {"counts": [-1, 81]},
    ],
)
def test_a_broken_segmentation_is_named_when_it_is_read(save, content, segmentation):
    content["annotations"] = [_annotation(41, 3, segmentation)]
    dataset = open_coco(save(content), "train")
    with pytest.raises(
        DataError, match=r"instances_train\.json: annotation 41 has a segmentation that is neither"
    ):
        dataset[0]


def test_runs_of_another_size_are_named_when_they_are_read(save, content):
    content["annotations"] = [_annotation(41, 3, {"counts": [10, 20]})]
    with pytest.raises(DataError, match="annotation 41 has runs of 30 pixels where its image has 80"):
        open_coco(save(content), "train")[0]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("categories", None, "does not hold COCO instances"),
        ("categories", [{"id": 1}], "'name' is missing"),
        ("categories", [{"id": 3, "name": "cat"}, {"id": 17, "name": "cat"}], "'cat' is used twice"),
        ("annotations", [{"id": 1}], "'category_id' is missing"),
        ("annotations", [3], "does not hold COCO instances"),
        (
            "annotations",
            [{"id": 1, "image_id": 7, "category_id": 4, "segmentation": []}],
            "category 4, which is not",
        ),
        ("images", [{"id": 7, "file_name": "a.jpg", "height": 0, "width": 10}], "10 x 0 px"),
        ("images", [{"id": 7, "file_name": "", "height": 8, "width": 10}], "does not hold COCO instances"),
        ("images", [], "lists no images"),
    ],
)
def test_a_broken_file_is_refused_by_name(save, content, key, value, message):
    root = save(content)
    (root / "annotations/instances_train.json").write_text(json.dumps({**content, key: value}))
    with pytest.raises(DataError, match=message) as caught:
        open_coco(root, "train")
    assert "instances_train.json" in str(caught.value)


PETS = LabelSet(("background", "rabbit", "tomcat"))


def _open_as_pets(root):
    return open_coco_as(root, "train", label_set=PETS, renamed={"cat": "tomcat"})


def test_other_objects_are_background_and_hide_what_lies_below(save, content):
    content["annotations"] = [_annotation(1, 17, _square(1, 1, 6)), _annotation(2, 3, _square(2, 2, 2))]
    dataset = _open_as_pets(save(content))
    assert dataset.label_set == PETS
    np.testing.assert_array_equal(dataset[0].labels, _expected((1, 1, 6, 2), (2, 2, 2, 0)))


def test_images_without_an_object_of_the_classes_are_left_out(save, content):
    for number, category, is_crowd in ((8, 3, 0), (9, 17, 1), (10, 17, 0)):
        content["images"].append({"id": number, "file_name": f"{number}.jpg", "height": 8, "width": 10})
        runs = {"size": [8, 10], "counts": [0, 80]} if is_crowd else _square(0, 0, 3)
        content["annotations"].append(_annotation(number, category, runs, image=number, is_crowd=is_crowd))
    assert [pair.name for pair in _open_as_pets(save(content)).pairs] == ["a", "10"]


def test_crowds_of_the_classes_are_ignored_and_other_crowds_are_background(save, content):
    left, all_of_it = {"size": [8, 10], "counts": [0, 40, 40]}, {"size": [8, 10], "counts": [0, 80]}
    content["annotations"] = [
        _annotation(1, 17, left, is_crowd=1),
        _annotation(2, 3, all_of_it, is_crowd=1),
        _annotation(3, 17, _square(6, 1, 2)),
    ]
    expected = _expected((6, 1, 2, 2))
    expected[:, :5] = 255
    np.testing.assert_array_equal(_open_as_pets(save(content))[0].labels, expected)


def test_a_file_without_any_of_the_classes_is_refused(save, content):
    with pytest.raises(DataError, match=r"no image in .*train\.json shows an object of dragon and so on"):
        open_coco_as(save(content), "train", label_set=LabelSet(("background", "dragon")), renamed={})
