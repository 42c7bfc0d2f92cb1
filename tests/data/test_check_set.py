"""One data set for every mistake that shows only in many files together."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

COCO_CATEGORIES = {"train": ("cat", "dog"), "val": ("dog", "cat"), "more": ("cat", "dog", "cow")}


def test_a_single_class_is_refused(folder):
    folder.write_labels('names = ["cell"]')
    folder.write_masks((0, 0, 255))
    assert '"cell" is the only class' in folder.find_error().sentence


def test_a_train_split_that_shows_one_class_is_refused(folder):
    folder.write_masks((1,))
    assert '"road" is the only class that any mask of train shows' in folder.find_error().sentence


def test_a_class_that_never_occurs_is_noted(folder):
    folder.write_masks((0, 2))
    sentence = folder.find_note().sentence
    assert '1 of 3 classes never occur in train ("road"), so networks will never predict them' in sentence


def test_a_class_that_only_val_shows_is_an_error(folder):
    folder.write_masks((0, 1), splits=("train",))
    assert 'val shows "car", which train never does' in folder.find_error().sentence
    assert folder.check(quick=True).problems == ()  # a few pairs prove no absence


def test_no_absence_is_claimed_while_masks_are_unread(folder):
    folder.write_masks((0, 1), splits=("train",))
    (folder.path / "train/masks/a.png").write_bytes(b"")
    assert folder.find_error().kind == "unreadable mask"


def test_a_mask_that_is_ignored_everywhere_is_noted(folder):
    folder.write_mask("train/masks/c.png", (255,))
    sentence = folder.find_note().sentence
    assert sentence.startswith("train/masks/c.png is ignored everywhere and teaches nothing")


@pytest.mark.parametrize("quick", [False, True])
def test_a_split_that_is_ignored_everywhere_is_an_error(folder, quick):
    folder.write_masks((255,), splits=("val",))
    sentence = folder.find_error(quick=quick).sentence
    assert "every mask of val is ignored everywhere, from val/masks/a.png on" in sentence


def test_a_split_that_is_mostly_ignored_is_noted(folder):
    folder.write_masks((0, 1, 2, 255, 255, 255), splits=("train",))
    assert "50% of the pixels of train are ignored and teach nothing" in folder.find_note().sentence


def test_images_below_the_crop_are_noted(folder):
    folder.write_image("train/images/a.png", seed=0, size=(6, 20))
    folder.write_mask("train/masks/a.png", (0, 1, 2), size=(6, 20))
    assert folder.check().problems == ()
    problem = folder.find_note(crop_size=(8, 9))
    assert "1 of 4 images of train are smaller than crops of 9 x 8 px: train/images/a.png" in problem.sentence
    assert problem.files == ("train/images/a.png",)


def test_the_share_of_crops_that_show_nothing_is_told(folder):
    columns = np.where(np.arange(12) < 6, np.arange(12) % 3, 255)
    folder.write_masks(np.tile(columns, 10))
    report = folder.check(crop_size=(4, 4))
    assert report.splits[0].ignored_crop_share == pytest.approx(3 / 9)  # columns 6, 7 and 8 of 0 to 8
    assert report.splits[1].ignored_crop_share is None  # nothing is cropped there
    assert any("33.3% of the crops of 4 x 4 px that train yields" in note.sentence for note in report.notes)


def test_the_same_file_in_two_splits_is_an_error(folder):
    shutil.copy(folder.path / "train/images/a.png", folder.path / "val/images/b.png")
    problem = folder.find_error()
    assert "val/images/b.png in val has the pixels of train/images/a.png in train, so" in problem.sentence
    assert problem.files == ("val/images/b.png", "train/images/a.png")
    assert folder.check(quick=True).problems == ()  # a few pairs seldom meet their copies


def test_the_same_pixels_in_another_container_are_found(folder):
    with Image.open(folder.path / "train/images/c.png") as image:
        image.save(folder.path / "val/images/b.bmp")
    (folder.path / "val/images/b.png").unlink()
    assert folder.find_error().files == ("val/images/b.bmp", "train/images/c.png")


def test_a_split_that_repeats_another_is_one_sentence(folder):
    shutil.rmtree(folder.path / "val")
    shutil.copytree(folder.path / "train", folder.path / "val")
    folder.write_mask("val/masks/b.png", (2, 1, 0))
    problem = folder.find_error()
    assert problem.sentence.endswith("(also val/images/b.png, val/images/c.png and 1 more)")
    assert len(problem.files) == 8


def test_duplicates_within_a_split_are_noted(folder):
    shutil.copy(folder.path / "train/images/a.png", folder.path / "train/images/b.png")
    sentence = folder.find_note().sentence
    assert "train/images/b.png has the pixels and the mask of train/images/a.png" in sentence


def test_duplicates_with_another_mask_are_noted(folder):
    shutil.copy(folder.path / "train/images/a.png", folder.path / "train/images/b.png")
    folder.write_mask("train/masks/b.png", (2, 1, 0))
    sentence = folder.find_note().sentence
    assert "train/images/b.png has the pixels of train/images/a.png but another mask" in sentence


def test_blank_images_are_no_duplicates(folder):
    for split in ("train", "val"):
        Image.new("RGB", (12, 10)).save(folder.path / split / "images/b.png")
    assert folder.check().problems == ()


def test_without_val_the_way_out_is_told(folder):
    shutil.rmtree(folder.path / "val")
    sentence = folder.find_note().sentence
    assert 'there is no split "val", so training goes without validation; move about a tenth' in sentence


def test_without_train_the_splits_there_are_are_told(folder):
    (folder.path / "train").rename(folder.path / "fold1")
    assert 'there is no split "train", only fold1, val; name the one' in folder.find_note().sentence


def test_a_split_that_cannot_be_opened_leaves_the_others(folder):
    shutil.rmtree(folder.path / "val/masks")
    assert "masks is missing beside" in folder.find_error().sentence
    assert [split.name for split in folder.check().splits] == ["train"]


def test_a_missing_label_file_is_told_once(folder):
    (folder.path / "labels.toml").unlink()
    folder.write_mask("val/masks/a.png", (0, 1, 2, 3))  # another proposal than for train
    assert "labels.toml is missing, which names the classes; write into it" in folder.find_error().sentence


@pytest.fixture
def coco(folder):
    """COCO with three splits of an image each, none with the categories of another."""
    root = folder.path.parent / "coco"
    (root / "annotations").mkdir(parents=True)
    for split, categories in COCO_CATEGORIES.items():
        type(folder)(root).write_image(f"{split}/a.png", seed=len(split))
        content = {
            "images": [{"id": 1, "file_name": "a.png", "height": 10, "width": 12}],
            "categories": [{"id": number, "name": name} for number, name in enumerate(categories)],
            "annotations": [
                {"id": label, "image_id": 1, "category_id": label, "segmentation": [_column(label)]}
                for label in range(len(categories))
            ],
        }
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return type(folder)(root)


def _column(number):
    """Polygon of two columns of the image."""
    return [2 * number, 0, 2 * number + 2, 0, 2 * number + 2, 10, 2 * number, 10]


@pytest.mark.parametrize("quick", [False, True])
def test_splits_that_number_their_categories_differently_are_refused(coco, quick):
    told = [problem.sentence for problem in coco.check(quick=quick).errors]
    assert told[0].startswith('class 1 is "cat" in train and "dog" in val; give both the same categories')
    assert told[1].startswith("train has 3 classes and more 4; give both the same categories")
    assert len(told) == 2


def test_names_in_labels_toml_settle_the_order_of_categories(coco):
    coco.write_labels('names = ["background", "cat", "dog", "cow"]')
    assert [problem.kind for problem in coco.check().errors] == ["class missing in train"]  # the cow
