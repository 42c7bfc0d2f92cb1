import json

import numpy as np
import pytest

from atrous.data.open import find_layout, open_dataset, splits
from atrous.errors import DataError
from data.nifti import save, some_volume

NUMBERS = np.random.default_rng(3).integers(0, 3, (14, 11, 9)).astype(np.uint8)


def make(images, masks, names, *, mask_names=()):
    for folder in (images, masks):
        folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        save(images / name, some_volume())
    for name in mask_names or names:
        save(masks / name, NUMBERS)


@pytest.mark.parametrize(
    "labels", [{"0": "background", "1": "head", "2": "tail"}, {"background": 0, "head": 1, "tail": 2}]
)
def test_the_decathlon_is_one_split_with_the_names_of_its_description(tmp_path, labels):
    make(tmp_path / "imagesTr", tmp_path / "labelsTr", ["b.nii.gz", "a.nii.gz"])
    (tmp_path / "imagesTs").mkdir()
    (tmp_path / "imagesTr" / "._a.nii.gz").write_bytes(b"macOS")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert (find_layout(tmp_path), splits(tmp_path)) == ("Decathlon", ("train",))
    dataset = open_dataset(tmp_path, "train")
    assert dataset.label_set.names == ("background", "head", "tail")
    assert [dataset[index].name for index in range(len(dataset))] == ["a", "b"]
    np.testing.assert_array_equal(dataset[0].labels, NUMBERS[::-1])


def test_the_ending_of_an_only_channel_does_not_count(tmp_path):
    make(tmp_path / "imagesTr", tmp_path / "labelsTr", ["a_0000.nii.gz"], mask_names=["a.nii.gz"])
    assert open_dataset(tmp_path, "train")[0].name == "a"


@pytest.mark.parametrize("folders", [("images", "labels"), ("images", "masks")])
def test_classes_that_nobody_names_are_counted(tmp_path, folders):
    make(tmp_path / folders[0], tmp_path / folders[1], ["a.nii"])
    numbers = NUMBERS.copy()
    numbers[0, 0, 0] = 255
    save(tmp_path / folders[1] / "a.nii", numbers)
    dataset = open_dataset(tmp_path, "train")
    assert dataset.label_set.names == ("background", "class 1", "class 2")
    assert (dataset[0].labels == 255).sum() == 1


def test_splits_of_volumes_read_labels_toml(tmp_path):
    for split in ("train", "val"):
        make(tmp_path / split / "images", tmp_path / split / "masks", ["a.nii"])
    (tmp_path / "labels.toml").write_text('names = ["air", "bone"]\nvalues = [0, 2]\nignore_index = 1\n')
    assert (find_layout(tmp_path), splits(tmp_path)) == ("volumes", ("train", "val"))
    labels = open_dataset(tmp_path, "val")[0].labels
    np.testing.assert_array_equal(labels, np.array([0, 255, 1], np.uint8)[NUMBERS[::-1]])


def test_files_without_their_other_half_are_named(tmp_path):
    make(tmp_path / "imagesTr", tmp_path / "labelsTr", ["a.nii.gz", "b.nii.gz"])
    (tmp_path / "labelsTr" / "a.nii.gz").unlink()
    (tmp_path / "imagesTr" / "b.nii.gz").rename(tmp_path / "imagesTr" / "c.nii.gz")
    with pytest.raises(DataError, match=r"no file in .*labelsTr has the name of a volume"):
        open_dataset(tmp_path, "train")
    save(tmp_path / "labelsTr" / "c.nii.gz", NUMBERS)
    dataset = open_dataset(tmp_path, "train")
    for index, said in ((0, r"a\.nii\.gz has no mask"), (1, r"b\.nii\.gz has no image")):
        with pytest.raises(DataError, match=said):
            dataset[index]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("dataset.json", "{}", r'dataset\.json has no "labels"'),
        ("dataset.json", '{"labels": {"head": [1, 2]}}', r'dataset\.json has no "labels"'),
        ("labels.toml", 'names = ["a"]\nencoding = "color"\npalette = [[1, 2, 3]]', "volumes hold numbers"),
    ],
)
def test_names_that_cannot_be_read_are_refused(tmp_path, name, content, said):
    make(tmp_path / "imagesTr", tmp_path / "labelsTr", ["a.nii.gz"])
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=said):
        open_dataset(tmp_path, "train")


def test_two_files_of_one_name_are_refused(tmp_path):
    make(tmp_path / "imagesTr", tmp_path / "labelsTr", ["a.nii.gz", "a.nii"])
    with pytest.raises(DataError, match="have the same name; rename one"):
        open_dataset(tmp_path, "train")


def test_the_real_hippocampi_are_recognized(shared_data):
    dataset = open_dataset(shared_data / "hippocampus", "fold4of5")
    assert len(dataset) == 12
    assert dataset.label_set.num_classes == 3
