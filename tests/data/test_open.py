import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.data.open import find_layout, open_dataset, samples_in_both, splits
from atrous.errors import DataError


def _save(path, *, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (6, 4)).save(path)


def _folders(root):
    for split in ("train", "val"):
        _save(root / split / "images" / "a.png")
        _save(root / split / "masks" / "a.png", mode="L")
    (root / "labels.toml").write_text('names = ["background", "cat"]')


def _camvid(root):
    for split in ("train", "val"):
        _save(root / split / "a.png")
        _save(root / f"{split}annot" / "a.png", mode="L")


def _lists(root):
    for split in ("train", "val"):
        _save(root / "files" / f"{split}.png")
        _save(root / "files" / f"{split}_mask.png", mode="L")
        (root / f"{split}.txt").write_text(f"files/{split}.png files/{split}_mask.png\n")
    (root / "labels.toml").write_text('names = ["background", "cat"]')


def _coco(root):
    (root / "annotations").mkdir()
    for split in ("train", "val"):
        _save(root / split / "a.png")
        image = {"id": 1, "file_name": "a.png", "height": 4, "width": 6}
        content = {"images": [image], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def _labelme(root):
    for split in ("train", "val"):
        _save(root / split / "a.png")
        (root / split / "a.json").write_text(json.dumps({"imageHeight": 4, "imageWidth": 6, "shapes": []}))
    (root / "labels.toml").write_text('names = ["background", "cat"]')


@pytest.mark.parametrize(
    ("make", "layout"),
    [(_folders, "folders"), (_camvid, "CamVid"), (_lists, "lists"), (_coco, "COCO"), (_labelme, "LabelMe")],
)
def test_open_dataset_recognizes(tmp_path, make, layout):
    make(tmp_path)
    assert find_layout(tmp_path) == layout
    assert splits(tmp_path) == ("train", "val")
    for split in ("train", "val"):
        dataset = open_dataset(tmp_path, split)
        assert len(dataset) == 1
        np.testing.assert_array_equal(dataset[0].labels, np.zeros((4, 6)))


@pytest.mark.parametrize("make", [_folders, _camvid, _lists, _coco, _labelme])
def test_an_unknown_split_names_the_splits_there_are(tmp_path, make):
    make(tmp_path)
    with pytest.raises(DataError, match='no split "test"; known are train, val'):
        open_dataset(tmp_path, "test")


@pytest.mark.parametrize("make", [_folders, _camvid, _lists, _coco, _labelme])
def test_a_union_holds_the_samples_of_its_splits_in_turn(tmp_path, make):
    make(tmp_path)
    train, val = open_dataset(tmp_path, "train"), open_dataset(tmp_path, "val")
    union = open_dataset(tmp_path, "val+train")
    assert len(union) == 2
    assert [union[index].name for index in range(2)] == [f"val/{val[0].name}", f"train/{train[0].name}"]
    np.testing.assert_array_equal(union[1].image, train[0].image)
    assert union.label_set == train.label_set


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("train+vall", 'no split "vall"; did you mean "val"'),
        ("train+", 'no split ""'),
        ("train+train", r'"train\+train" has .*a\.png twice; join splits that have no image in common'),
    ],
)
def test_a_union_of_what_does_not_fit_is_refused(tmp_path, split, message):
    _folders(tmp_path)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path, split)


def test_a_union_of_different_classes_is_refused(tmp_path):
    _coco(tmp_path)
    path = tmp_path / "annotations" / "instances_val.json"
    path.write_text(path.read_text().replace('"cat"', '"dog"'))
    message = (
        r'"train" \(2: background, cat, ...\) and "val" \(2: background, dog, ...\) have different classes'
    )
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path, "train+val")


def test_samples_of_two_splits_are_the_same_by_their_images(tmp_path):
    _folders(tmp_path)
    assert [samples_in_both(tmp_path, first, "val") for first in ("train", "val", "train+val")] == [0, 1, 1]
    scenes = Path("builtin:scenes")
    assert samples_in_both(scenes, "train", "val") == 0
    assert samples_in_both(scenes, "val", "val") == len(open_dataset(scenes, "val"))


def test_an_unknown_split_names_its_neighbor(tmp_path):
    _folders(tmp_path)
    with pytest.raises(DataError, match='no split "vall"; did you mean "val"'):
        open_dataset(tmp_path, "vall")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist"):
        open_dataset(tmp_path / "nowhere", "train")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="is empty"):
        splits(tmp_path)


def test_a_file_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match=r"a\.txt is a file"):
        splits(tmp_path / "a.txt")


def test_an_unknown_layout_is_refused_with_the_known_ones(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(
        DataError, match=r"no known layout; arrange it as SPLIT/images with SPLIT/masks.*VOC, Citys"
    ):
        splits(tmp_path)


def test_images_without_splits_are_told_where_to_go(tmp_path):
    _save(tmp_path / "images" / "a.png")
    with pytest.raises(DataError, match=r"has images but no splits; move them to .*train.images"):
        splits(tmp_path)
