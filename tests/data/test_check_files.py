"""One broken data set for every mistake that a single file can have."""

import json

import numpy as np
import pytest
from PIL import Image


@pytest.mark.parametrize("quick", [False, True])
def test_a_missing_mask_is_named(folder, quick):
    (folder.path / "train/masks/b.png").unlink()
    problem = folder.find_error(quick=quick)
    assert problem.kind == "missing mask"
    assert problem.sentence.startswith("train/images/b.png has no mask: train/masks/b.png is missing; add it")
    assert problem.files == ("train/images/b.png",)


@pytest.mark.parametrize("quick", [False, True])
def test_a_missing_image_is_named(folder, quick):
    (folder.path / "val/images/b.png").unlink()
    sentence = folder.find_error(quick=quick).sentence
    assert sentence.startswith("val/masks/b.png has no image: val/images/b.png is missing; add it")


def test_a_listed_pair_without_any_file_is_named(folder):
    for split, stems in (("train", "abcd"), ("val", "abz")):
        (folder.path / split).rename(folder.path / f"my_{split}")
        lines = [f"my_{split}/images/{stem}.png my_{split}/masks/{stem}.png" for stem in stems]
        (folder.path / f"{split}.txt").write_text("\n".join(lines))
        for name in ("images", "masks"):  # else these would be splits of the folder layout
            (folder.path / f"my_{split}" / name).rename(folder.path / f"my_{split}" / f"{name}s")
        text = (folder.path / f"{split}.txt").read_text()
        (folder.path / f"{split}.txt").write_text(
            text.replace("images", "imagess").replace("masks", "maskss")
        )
    assert folder.check().layout == "lists"
    sentence = folder.find_error().sentence
    assert "my_val/imagess/z.png and its mask my_val/maskss/z.png are both missing" in sentence


def test_many_missing_masks_are_one_sentence_and_all_are_listed(folder):
    folder.write_pairs("train", [f"n{number:02}" for number in range(30)])
    for path in (folder.path / "train/masks").glob("n*.png"):
        path.unlink()
    problem = folder.find_error(quick=True)
    assert problem.sentence.endswith("(also train/images/n01.png, train/images/n02.png and 27 more)")
    assert problem.files == tuple(f"train/images/n{number:02}.png" for number in range(30))


def test_sizes_that_differ_are_named(folder):
    folder.write_mask("train/masks/c.png", (0, 1, 2), size=(10, 13))
    problem = folder.find_error()
    assert problem.kind == "sizes differ"
    assert "train/images/c.png is 12 x 10 px and its mask train/masks/c.png 13 x 10 px" in problem.sentence


@pytest.mark.parametrize(("name", "kind"), [("images", "unreadable image"), ("masks", "unreadable mask")])
@pytest.mark.parametrize("length", [0, 30, 50])
def test_a_file_cut_short_is_named(folder, name, kind, length):
    path = folder.path / "train" / name / "a.png"
    assert path.stat().st_size > length
    path.write_bytes(path.read_bytes()[:length])
    problem = folder.find_error()
    assert problem.kind == kind
    assert problem.sentence.startswith(f"train/{name}/a.png cannot be read as an image")


def test_a_broken_image_does_not_hide_its_broken_mask(folder):
    (folder.path / "train/images/a.png").write_bytes(b"")
    (folder.path / "train/masks/a.png").write_text("not an image")
    assert [problem.kind for problem in folder.check().errors] == ["unreadable image", "unreadable mask"]


def test_masks_with_colors_are_named(folder):
    folder.write_image("train/masks/a.png", seed=0)
    problem = folder.find_error()
    assert problem.kind == "mask without numbers"
    assert "train/masks/a.png is a mask with colors (RGB), where one number a pixel is" in problem.sentence
    assert "channels are equal" not in problem.sentence


def test_numbers_stored_in_three_channels_are_told_apart_from_colors(folder):
    for name in folder.masks("train"):
        with Image.open(folder.path / name) as mask:
            mask.convert("RGB").save(folder.path / name)
    problem = folder.find_error()
    assert "three channels are equal" in problem.sentence
    assert len(problem.files) == 4


def test_masks_with_numbers_beyond_8_bits_are_named(folder):
    Image.fromarray(np.full((10, 12), 1000, np.uint16)).save(folder.path / "train/masks/a.png")
    sentence = folder.find_error().sentence
    assert "train/masks/a.png is a mask with values from 1000 to 1000" in sentence
    assert "channels" not in sentence


def test_a_color_of_no_class_is_named(folder):
    folder.write_labels('names = ["sky", "road"]', 'encoding = "color"', "palette = [[0, 0, 0], [1, 1, 1]]")
    folder.write_masks((0, 1))
    assert folder.check().problems == ()
    Image.new("RGB", (12, 10), (9, 8, 7)).save(folder.path / "train/masks/d.png")
    problem = folder.find_error()
    assert problem.kind == "foreign color"
    assert "train/masks/d.png holds color [9, 8, 7], which stands for no class" in problem.sentence


def test_a_broken_annotation_is_named(tmp_path, folder):
    image = {"id": 1, "file_name": "a.png", "height": 10, "width": 12}
    broken = {"id": 7, "image_id": 1, "category_id": 1, "segmentation": [[1, 2, 3]]}
    content = {"images": [image], "categories": [{"id": 1, "name": "cat"}], "annotations": [broken]}
    (tmp_path / "coco/annotations").mkdir(parents=True)
    (tmp_path / "coco/annotations/train.json").write_text(json.dumps(content))
    (tmp_path / "coco/train").mkdir()
    (folder.path / "train/images/a.png").rename(tmp_path / "coco/train/a.png")
    (problem,) = type(folder)(tmp_path / "coco").check().errors
    assert problem.kind == "broken annotation"
    assert problem.sentence.startswith("annotations/train.json: annotation 7 has a segmentation that is")
    assert problem.files == ("train/a.png",)


def test_a_number_beyond_the_names(folder):
    folder.write_mask("train/masks/b.png", (0, 3))
    assert folder.find_error().sentence == (
        "train/masks/b.png holds 3, but the classes are 0-2 and 255 is ignored; name its class in "
        "labels.toml, or set ignore_index = 3 there if it is none, or values = [1, 2, 3] and "
        "ignore_index = 0 if 0 is none"
    )


def test_one_ignored_number_is_not_traded_for_another(folder):
    folder.write_mask("train/masks/b.png", (0, 9, 255))
    assert "name these classes in labels.toml, or correct the masks" in folder.find_error().sentence


def test_numbers_from_1_are_explained_from_all_masks(folder):
    names = [*folder.masks("train"), *folder.masks("val")]
    for name, numbers in zip(names, [(1, 2), (1, 3), (2, 3)] * 2, strict=True):
        folder.write_mask(name, numbers)
    problem = folder.find_error()
    assert "count from 0 here: subtract 1 in every mask, or write values = [1, 2, 3]" in problem.sentence
    assert len(problem.files) == 4


def test_one_mask_without_class_0_does_not_mean_numbers_from_1(folder):
    folder.write_mask("train/masks/b.png", (1, 3))
    assert "subtract 1" not in folder.find_error().sentence


def test_gray_levels_for_classes_are_proposed_as_values(folder):
    folder.write_masks((0, 100, 200))
    sentence = folder.find_error().sentence
    assert "holds 100, 200, but" in sentence
    assert "if these stand for the classes, write values = [0, 100, 200] into labels.toml" in sentence


def test_numbers_of_one_file_and_of_all_are_both_told(folder):
    folder.write_mask("train/masks/a.png", (0, 7))
    folder.write_mask("train/masks/b.png", (1, 9))
    sentence = folder.find_error().sentence
    assert "train/masks/a.png holds 7 (all masks: 7, 9), but the classes are 0-2" in sentence
    assert "name these classes in labels.toml, or correct the masks (also train/masks/b.png)" in sentence


def test_masks_stored_as_jpeg_are_told_why(folder):
    folder.write_masks((0, 90, 200), splits=("train",))
    for name in folder.masks("train"):
        path = folder.path / name
        with Image.open(path) as mask:
            mask.save(path.with_suffix(".jpg"), quality=60)
        path.unlink()
    assert "JPEG changes the numbers, so store masks as PNG" in folder.find_error().sentence


@pytest.mark.parametrize("quick", [False, True])
def test_binary_masks_whose_255_would_be_ignored_are_refused(folder, quick):
    folder.write_labels('names = ["cell", "wall"]')
    folder.write_masks((0, 255, 255))
    problem = folder.find_error(quick=quick)
    assert problem.kind == "binary mask"
    assert 'so the class "wall" never occurs; write values = [0, 255] into labels.toml' in problem.sentence
    folder.write_labels('names = ["cell", "wall"]', "values = [0, 255]")
    assert folder.check(quick=quick).problems == ()


def test_a_single_1_shows_that_255_is_ignored(folder):
    folder.write_labels('names = ["cell", "wall"]')
    folder.write_masks((0, 0, 255))
    folder.write_mask("train/masks/c.png", (0, 1))
    assert "binary mask" not in [problem.kind for problem in folder.check().problems]


def test_255_may_be_said_to_be_ignored(folder):
    folder.write_labels('names = ["cell", "wall"]', "ignore_index = 255")
    folder.write_masks((0, 0, 255))
    assert folder.check(quick=True).problems == ()
    assert '"cell" is the only class that any mask of train shows' in folder.find_error().sentence


def test_binary_masks_whose_255_stands_for_nothing(folder):
    folder.write_labels('names = ["cell", "wall"]', "ignore_index = 9")
    folder.write_masks((0, 255))
    assert "for binary masks of 0 and 255 write values = [0, 255]" in folder.find_error().sentence
