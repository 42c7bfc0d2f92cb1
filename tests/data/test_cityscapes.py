import shutil

import numpy as np
import pytest

from atrous.data.check import check_dataset
from atrous.data.cityscapes import CITYSCAPES_LABELS, LABEL_IDS, open_cityscapes
from atrous.data.open import find_layout, open_dataset, splits
from atrous.errors import DataError
from data.known_sets import CITYSCAPES_IDS, checked, save_mask, write_cityscapes

# cityscapesscripts/helpers/labels.py: ids 0-33, trainIds and colors
OFFICIAL = """
0 255 unlabeled; 1 255 ego vehicle; 2 255 rectification border; 3 255 out of roi; 4 255 static; 5 255 dynamic;
6 255 ground; 7 0 road 128 64 128; 8 1 sidewalk 244 35 232; 9 255 parking; 10 255 rail track;
11 2 building 70 70 70; 12 3 wall 102 102 156; 13 4 fence 190 153 153; 14 255 guard rail; 15 255 bridge;
16 255 tunnel; 17 5 pole 153 153 153; 18 255 polegroup; 19 6 traffic light 250 170 30;
20 7 traffic sign 220 220 0; 21 8 vegetation 107 142 35; 22 9 terrain 152 251 152; 23 10 sky 70 130 180;
24 11 person 220 20 60; 25 12 rider 255 0 0; 26 13 car 0 0 142; 27 14 truck 0 0 70; 28 15 bus 0 60 100;
29 255 caravan; 30 255 trailer; 31 16 train 0 80 100; 32 17 motorcycle 0 0 230; 33 18 bicycle 119 11 32
"""


def _official():
    """Rows of id, trainId, name and, of the 19 classes, color."""
    for row in OFFICIAL.split(";"):
        words = row.split()
        color = tuple(int(word) for word in words if word.isdigit())[2:]
        yield int(words[0]), int(words[1]), " ".join(word for word in words if not word.isdigit()), color


@pytest.fixture
def root(tmp_path):
    return write_cityscapes(tmp_path)


def test_classes_are_the_official_ones():
    counted = sorted((train_id, name, color) for _, train_id, name, color in _official() if train_id != 255)
    assert CITYSCAPES_LABELS.names == tuple(name for _, name, _ in counted)
    assert CITYSCAPES_LABELS.palette == tuple(color for *_, color in counted)


def test_label_ids_become_train_ids(tmp_path):
    save_mask(tmp_path / "a.png", [[*range(34), 255]])
    expected = [train_id for _, train_id, *_ in _official()] + [255]  # -1, license plate, is 255 in 8 bits
    np.testing.assert_array_equal(LABEL_IDS.read(tmp_path / "a.png"), [expected])


def test_cityscapes_is_found(root):
    assert find_layout(root) == "Cityscapes"
    assert splits(root) == ("train", "val")
    dataset = open_dataset(root, "train")
    assert [dataset[index].name for index in range(2)] == ["aachen_000000_000019", "bochum_000000_000313"]
    assert dataset.label_set == CITYSCAPES_LABELS
    table = np.array([train_id for _, train_id, *_ in _official()])
    np.testing.assert_array_equal(dataset[1].labels, table[checked(*CITYSCAPES_IDS)])


def test_masks_of_train_ids_come_first(root):
    path = root / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png"
    save_mask(path, checked(*range(19), 255))
    dataset = open_cityscapes(root, "train")
    assert [pair.mask_path.name.split("_")[-1] for pair in dataset.pairs] == [
        "labelTrainIds.png",
        "labelIds.png",
    ]
    np.testing.assert_array_equal(dataset[0].labels, checked(*range(19), 255))


def test_check_finds_no_mistake(root):
    report = check_dataset(root)
    assert (report.layout, [split.name for split in report.splits]) == ("Cityscapes", ["train", "val"])
    assert report.problems == ()


def test_a_missing_mask_and_a_missing_image_are_named(root):
    (root / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png").unlink()
    (root / "leftImg8bit/train/bochum/bochum_000000_000313_leftImg8bit.png").unlink()
    problems = check_dataset(root).errors
    assert {problem.kind for problem in problems} == {"missing mask", "missing image"}
    assert "aachen_000000_000019_gtFine_labelIds.png is missing" in " ".join(
        each.sentence for each in problems
    )


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("test", "masks in gtFine/test are dummies that ignore every pixel; evaluate on val, or predict"),
        ("train_extra", "coarse annotations only"),
        ("vall", 'did you mean "val"'),
    ],
)
def test_a_split_without_fine_masks_says_so(root, split, message):
    with pytest.raises(DataError, match=message):
        open_dataset(root, split)


@pytest.mark.parametrize("folder", ["leftImg8bit", "gtFine"])
def test_a_missing_archive_is_named(root, folder):
    shutil.rmtree(root / folder)
    with pytest.raises(
        DataError, match=rf"{folder}.val is missing; get leftImg8bit_trainvaltest\.zip and gtFine_"
    ):
        open_dataset(root, "val")
    assert check_dataset(root).errors[0].kind == "split cannot be opened"


def test_an_unpacked_test_split_alone_says_what_is_missing(root):
    for side in ("leftImg8bit", "gtFine"):
        for split in ("train", "val"):
            shutil.rmtree(root / side / split)
    with pytest.raises(DataError, match=r"has leftImg8bit, but not all .*www\.cityscapes-dataset\.com"):
        splits(root)


def test_folders_without_files_of_the_data_set_are_refused(root):
    shutil.rmtree(root / "leftImg8bit/val/frankfurt")
    shutil.rmtree(root / "gtFine/val/frankfurt")
    with pytest.raises(DataError, match=r"val holds no CITY.\*_leftImg8bit\.png"):
        open_dataset(root, "val")
