"""One broken data set for every mistake that `check` explains, and real ones that it finds none in."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from atrous.data.check import QUICK_PAIRS, check_dataset, check_each, refuse_mistakes
from atrous.errors import DataError

SIZE = (10, 12)  # height, width of every image


def write_image(path, generator, *, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


def write_mask(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def mask_of(numbers, *, size=SIZE):
    """A mask that holds just these numbers."""
    return np.resize(np.array(numbers, np.uint8), size)


def write_split(root, split, stems, *, numbers=(0, 1, 2), seed=0):
    generator = np.random.default_rng((seed, *split.encode()))
    for stem in stems:
        write_image(root / split / "images" / f"{stem}.png", generator)
        write_mask(root / split / "masks" / f"{stem}.png", mask_of(numbers))


@pytest.fixture
def root(tmp_path):
    """Without a mistake: four pairs in train and two in val, three classes."""
    root = tmp_path / "set"
    write_split(root, "train", "abcd")
    write_split(root, "val", "ab")
    (root / "labels.toml").write_text('names = ["sky", "road", "car"]\n')
    return root


def sole(report, severity="error"):
    """The one problem of the report, which is of this severity."""
    (problem,) = report.problems
    assert problem.severity == severity
    assert report.exit_code == (1 if severity == "error" else 0)
    return problem


def only_error(report):
    (problem,) = report.errors
    return problem


def test_a_clean_set_has_no_problems(root):
    for quick in (False, True):
        report = check_dataset(root, quick=quick, crop_size=(8, 8))
        assert report.problems == ()
        assert report.exit_code == 0
        assert "no mistakes found" in report.to_table()


def test_the_same_stem_in_two_splits_is_no_mistake(root):
    assert (root / "train/images/a.png").exists()
    assert (root / "val/images/a.png").exists()
    assert check_dataset(root).problems == ()


# files


@pytest.mark.parametrize("quick", [False, True])
def test_a_missing_mask_is_named(root, quick):
    (root / "train/masks/b.png").unlink()
    problem = sole(check_dataset(root, quick=quick))
    assert problem.kind == "missing mask"
    assert problem.sentence.startswith("train/images/b.png has no mask: train/masks/b.png is missing; add it")
    assert problem.files == ("train/images/b.png",)


@pytest.mark.parametrize("quick", [False, True])
def test_a_missing_image_is_named(root, quick):
    (root / "val/images/b.png").unlink()
    problem = sole(check_dataset(root, quick=quick))
    assert problem.sentence.startswith("val/masks/b.png has no image: val/images/b.png is missing; add it")


def test_a_listed_pair_of_which_both_files_are_missing_is_named(root):
    for split in ("train", "val"):
        stems = sorted(path.stem for path in (root / split / "images").iterdir())
        lines = [f"{split}/images/{stem}.png {split}/masks/{stem}.png" for stem in stems]
        (root / f"{split}.txt").write_text("\n".join(lines))
        for folder in ("images", "masks"):
            (root / split / folder).rename(root / split / f"my_{folder}")
        text = (root / f"{split}.txt").read_text()
        (root / f"{split}.txt").write_text(
            text.replace("/images", "/my_images").replace("/masks", "/my_masks")
        )
    assert check_dataset(root).problems == ()
    assert check_dataset(root).layout == "lists"
    (root / "val/my_images/b.png").unlink()
    (root / "val/my_masks/b.png").unlink()
    problem = sole(check_dataset(root))
    assert "val/my_images/b.png and its mask val/my_masks/b.png are both missing" in problem.sentence


def test_many_missing_masks_are_one_sentence_and_all_are_listed(root):
    write_split(root, "train", [f"n{number:02}" for number in range(30)], seed=1)
    for path in (root / "train/masks").glob("n*.png"):
        path.unlink()
    problem = sole(check_dataset(root, quick=True))
    assert problem.sentence.endswith("(also train/images/n01.png, train/images/n02.png and 27 more)")
    assert problem.files == tuple(f"train/images/n{number:02}.png" for number in range(30))


def test_sizes_that_differ_are_named(root):
    write_mask(root / "train/masks/c.png", mask_of((0, 1, 2), size=(10, 13)))
    problem = sole(check_dataset(root))
    assert "train/images/c.png is 12 x 10 px and its mask train/masks/c.png 13 x 10 px" in problem.sentence


def test_a_truncated_image_is_named(root):
    path = root / "train/images/a.png"
    path.write_bytes(path.read_bytes()[:200])
    problem = sole(check_dataset(root))
    assert problem.kind == "unreadable image"
    assert problem.sentence.startswith("train/images/a.png cannot be read as an image")


def test_a_mask_that_is_no_image_is_named(root):
    (root / "train/masks/a.png").write_text("not an image")
    problem = sole(check_dataset(root))
    assert problem.kind == "unreadable mask"
    assert problem.sentence.startswith("train/masks/a.png cannot be read as an image")


def test_a_broken_image_does_not_hide_its_broken_mask(root):
    (root / "train/images/a.png").write_bytes(b"")
    (root / "train/masks/a.png").write_bytes(b"")
    report = check_dataset(root)
    assert [problem.kind for problem in report.errors] == ["unreadable image", "unreadable mask"]


def test_masks_with_colors_are_named(root):
    write_image(root / "train/masks/a.png", np.random.default_rng(3))
    problem = sole(check_dataset(root))
    assert problem.kind == "mask without numbers"
    assert (
        "train/masks/a.png is a mask with colors (RGB), where one number a pixel is expected"
        in problem.sentence
    )
    assert "channels are equal" not in problem.sentence


def test_masks_stored_as_equal_channels_are_told_apart_from_colors(root):
    for path in (root / "train/masks").iterdir():
        Image.fromarray(np.repeat(mask_of((0, 1, 2))[:, :, None], 3, axis=2)).save(path)
    problem = sole(check_dataset(root))
    assert "three channels are equal" in problem.sentence
    assert len(problem.files) == 4


def test_masks_with_numbers_beyond_8_bits_are_named(root):
    Image.fromarray(np.full(SIZE, 1000, np.uint16)).save(root / "train/masks/a.png")
    problem = sole(check_dataset(root))
    assert "train/masks/a.png is a mask with values from 1000 to 1000" in problem.sentence
    assert "channels" not in problem.sentence


def test_a_color_of_no_class_is_named(root):
    (root / "labels.toml").write_text(
        'names = ["sky", "road"]\nencoding = "color"\npalette = [[0, 0, 0], [0, 0, 255]]\n'
    )
    colors = np.array([(0, 0, 0), (0, 0, 255)], np.uint8)
    for path in root.glob("*/masks/*.png"):
        Image.fromarray(colors[mask_of((0, 1))]).save(path)
    assert check_dataset(root).problems == ()
    Image.new("RGB", SIZE[::-1], (9, 9, 9)).save(root / "train/masks/d.png")
    problem = sole(check_dataset(root))
    assert problem.kind == "foreign color"
    assert "train/masks/d.png holds color [9, 9, 9], which stands for no class" in problem.sentence


# numbers


def test_one_more_number_than_names(root):
    write_mask(root / "train/masks/b.png", mask_of((0, 3)))
    problem = sole(check_dataset(root))
    assert problem.sentence == (
        "train/masks/b.png holds 3, but the classes are 0-2 and 255 is ignored; name its class in labels.toml, or "
        "set ignore_index = 3 there if it is none, or values = [1, 2, 3] and ignore_index = 0 if 0 is none"
    )


def test_numbers_that_begin_at_1_are_explained_from_all_masks(root):
    for path, numbers in zip(sorted(root.glob("*/masks/*.png")), [(1, 2), (1, 3), (2, 3)] * 2, strict=True):
        write_mask(path, mask_of(numbers))
    problem = sole(check_dataset(root))
    assert (
        "classes count from 0 here: subtract 1 in every mask, or write values = [1, 2, 3]" in problem.sentence
    )
    assert len(problem.files) == 4


def test_a_mask_without_class_0_does_not_make_numbers_begin_at_1(root):
    write_mask(root / "train/masks/b.png", mask_of((1, 3)))  # alone it looks as if numbers began at 1
    assert "subtract 1" not in sole(check_dataset(root)).sentence


def test_gray_levels_for_classes_are_proposed_as_values(root):
    for path in root.glob("*/masks/*.png"):
        write_mask(path, mask_of((0, 100, 200)))
    sentence = sole(check_dataset(root)).sentence
    assert "holds 100, 200, but" in sentence
    assert "if these stand for the classes, write values = [0, 100, 200] into labels.toml" in sentence


def test_numbers_of_one_file_and_of_all_are_both_told(root):
    write_mask(root / "train/masks/a.png", mask_of((0, 7)))
    write_mask(root / "train/masks/b.png", mask_of((1, 9)))
    sentence = sole(check_dataset(root)).sentence
    assert "train/masks/a.png holds 7 (all masks: 7, 9), but the classes are 0-2" in sentence
    assert "name these classes in labels.toml, or correct the masks (also train/masks/b.png)" in sentence


def test_masks_stored_as_jpeg_are_told_why(root):
    for path in (root / "train/masks").iterdir():
        Image.fromarray(mask_of((0, 90, 200))).save(path.with_suffix(".jpg"), quality=60)
        path.unlink()
    assert "JPEG changes the numbers, so store masks as PNG" in sole(check_dataset(root)).sentence


@pytest.mark.parametrize("quick", [False, True])
def test_binary_masks_whose_255_would_be_ignored_are_refused(root, quick):
    (root / "labels.toml").write_text('names = ["cell", "membrane"]\n')
    for path in root.glob("*/masks/*.png"):
        write_mask(path, mask_of((0, 255, 255)))
    problem = sole(check_dataset(root, quick=quick))
    assert problem.kind == "binary mask"
    assert (
        'so the class "membrane" never occurs; write values = [0, 255] into labels.toml' in problem.sentence
    )
    (root / "labels.toml").write_text('names = ["cell", "membrane"]\nvalues = [0, 255]\n')
    assert check_dataset(root, quick=quick).problems == ()


def test_255_may_be_said_to_be_ignored(root):
    (root / "labels.toml").write_text('names = ["cell", "membrane"]\nignore_index = 255\n')
    for path in root.glob("*/masks/*.png"):
        write_mask(path, mask_of((0, 0, 255)))
    assert check_dataset(root, quick=True).problems == ()
    assert only_error(check_dataset(root)).kind == "one class"


def test_binary_masks_whose_255_is_no_number_of_the_classes(root):
    (root / "labels.toml").write_text('names = ["cell", "membrane"]\nignore_index = 9\n')
    for path in root.glob("*/masks/*.png"):
        write_mask(path, mask_of((0, 255)))
    assert "for binary masks of 0 and 255 write values = [0, 255]" in sole(check_dataset(root)).sentence


# what the labels show


def test_a_single_class_is_refused(root):
    (root / "labels.toml").write_text('names = ["cell"]\n')
    for path in root.glob("*/masks/*.png"):
        write_mask(path, mask_of((0, 0, 255)))
    assert '"cell" is the only class' in sole(check_dataset(root)).sentence


def test_a_train_split_of_one_class_is_refused(root):
    for path in root.glob("*/masks/*.png"):
        write_mask(path, mask_of((1,)))
    assert '"road" is the only class that any mask of train shows' in sole(check_dataset(root)).sentence


def test_a_class_that_never_occurs_is_noted(root):
    for path in root.glob("*/masks/*.png"):
        write_mask(path, mask_of((0, 2)))
    problem = sole(check_dataset(root), "note")
    assert '1 of 3 classes never occur in train ("road")' in problem.sentence


def test_a_class_that_only_val_shows_is_an_error(root):
    for path in (root / "train/masks").iterdir():
        write_mask(path, mask_of((0, 1)))
    problem = sole(check_dataset(root))
    assert 'val shows "car", which train never does' in problem.sentence
    assert check_dataset(root, quick=True).problems == ()  # a few pairs prove no absence


def test_no_absence_is_claimed_while_masks_are_unread(root):
    for path in (root / "train/masks").iterdir():
        write_mask(path, mask_of((0, 1)))
    (root / "train/masks/a.png").write_bytes(b"")
    assert sole(check_dataset(root)).kind == "unreadable mask"


def test_a_mask_that_is_ignored_everywhere_is_noted(root):
    write_mask(root / "train/masks/c.png", mask_of((255,)))
    problem = sole(check_dataset(root), "note")
    assert problem.sentence.startswith("train/masks/c.png is ignored everywhere and teaches nothing")


@pytest.mark.parametrize("quick", [False, True])
def test_a_split_that_is_ignored_everywhere_is_an_error(root, quick):
    for path in (root / "val/masks").iterdir():
        write_mask(path, mask_of((255,)))
    problem = sole(check_dataset(root, quick=quick))
    assert "every mask of val is ignored everywhere, from val/masks/a.png on" in problem.sentence


def test_a_split_that_is_mostly_ignored_is_noted(root):
    for path in (root / "train/masks").iterdir():
        write_mask(path, mask_of((0, 1, 2, 255, 255, 255)))
    problem = sole(check_dataset(root), "note")
    assert "50% of the pixels of train are ignored" in problem.sentence


def test_images_below_the_crop_are_noted(root):
    write_image(root / "train/images/a.png", np.random.default_rng(5), size=(6, 7))
    write_mask(root / "train/masks/a.png", mask_of((0, 1, 2), size=(6, 7)))
    assert check_dataset(root).problems == ()
    problem = sole(check_dataset(root, crop_size=(8, 9)), "note")
    assert "1 of 4 images of train are smaller than crops of 9 x 8 px: train/images/a.png" in problem.sentence


def test_the_share_of_crops_that_show_nothing_is_told(root):
    labels = np.full(SIZE, 255, np.uint8)
    labels[:, :6] = mask_of((0, 1, 2))[:, :6]
    for path in root.glob("*/masks/*.png"):
        write_mask(path, labels)
    report = check_dataset(root, crop_size=(4, 4))
    assert report.splits[0].ignored_crop_share == pytest.approx(3 / 9)  # columns 6, 7 and 8 of 0 to 8
    assert report.splits[1].ignored_crop_share is None  # nothing is cropped there
    assert any("33.3% of the crops of 4 x 4 px that train yields" in note.sentence for note in report.notes)
    assert "empty crops" in report.to_table()


# splits


def test_the_same_file_in_two_splits_is_an_error(root):
    shutil.copy(root / "train/images/a.png", root / "val/images/b.png")
    problem = sole(check_dataset(root))
    assert problem.sentence.startswith(
        "val/images/b.png in val has the pixels of train/images/a.png in train"
    )
    assert problem.files == ("val/images/b.png", "train/images/a.png")


def test_the_same_pixels_in_another_container_are_found(root):
    with Image.open(root / "train/images/a.png") as image:
        image.save(root / "val/images/b.bmp")
    (root / "val/images/b.png").unlink()
    problem = sole(check_dataset(root))
    assert problem.kind == "duplicate between splits"
    assert "val/images/b.bmp in val has the pixels of train/images/a.png" in problem.sentence


def test_duplicates_within_a_split_are_noted(root):
    shutil.copy(root / "train/images/a.png", root / "train/images/b.png")
    problem = sole(check_dataset(root), "note")
    assert "train/images/b.png has the pixels and the mask of train/images/a.png" in problem.sentence


def test_duplicates_with_another_mask_are_noted(root):
    shutil.copy(root / "train/images/a.png", root / "train/images/b.png")
    write_mask(root / "train/masks/b.png", mask_of((2, 1, 0)))
    problem = sole(check_dataset(root), "note")
    assert "train/images/b.png has the pixels of train/images/a.png but another mask" in problem.sentence


def test_blank_images_are_no_duplicates(root):
    for path in root.glob("*/images/b.png"):
        Image.new("RGB", SIZE[::-1]).save(path)
    assert check_dataset(root).problems == ()


def test_without_val_the_way_out_is_told(root):
    (root / "val").rename(root.parent / "elsewhere")
    problem = sole(check_dataset(root), "note")
    assert 'there is no split "val", so training goes without validation' in problem.sentence


def test_without_train_the_splits_there_are_are_told(root):
    (root / "train").rename(root / "fold1")
    problem = sole(check_dataset(root), "note")
    assert 'there is no split "train", only fold1, val' in problem.sentence


def test_a_split_that_cannot_be_opened_leaves_the_others(root):
    shutil.rmtree(root / "val/masks")
    report = check_dataset(root)
    assert "masks is missing beside" in sole(report).sentence
    assert [split.name for split in report.splits] == ["train"]


def test_a_missing_label_file_is_told_once(root):
    (root / "labels.toml").unlink()
    write_mask(root / "val/masks/a.png", mask_of((0, 1, 2, 3)))  # another proposal than for train
    assert (
        "labels.toml is missing, which names the classes; write into it" in sole(check_dataset(root)).sentence
    )


def write_coco(root, split, names):
    generator = np.random.default_rng(len(split))
    write_image(root / split / "a.png", generator)
    square = [0, 0, 6, 0, 6, 6, 0, 6]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": number, "segmentation": [[*square[:-1], 6 + number]]}
            for number in range(1, len(names) + 1)
        ],
    }
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return content


@pytest.mark.parametrize("quick", [False, True])
def test_splits_that_number_their_categories_differently_are_refused(tmp_path, quick):
    write_coco(tmp_path, "train", ("cat", "dog"))
    write_coco(tmp_path, "val", ("dog", "cat"))
    sentence = only_error(check_dataset(tmp_path, quick=quick)).sentence
    assert 'class 1 is "cat" in train and "dog" in val; give both the same categories' in sentence
    write_coco(tmp_path, "val", ("cat", "dog", "cow"))
    assert "train has 3 classes and val 4" in only_error(check_dataset(tmp_path, quick=quick)).sentence
    write_coco(tmp_path, "val", ("cat", "dog"))
    assert check_dataset(tmp_path, quick=quick).problems == ()


def test_a_broken_annotation_is_named(tmp_path):
    write_coco(tmp_path, "val", ("cat", "dog"))
    content = write_coco(tmp_path, "train", ("cat", "dog"))
    content["annotations"][0]["segmentation"] = [[1, 2, 3]]
    (tmp_path / "annotations/instances_train.json").write_text(json.dumps(content))
    problem = only_error(check_dataset(tmp_path))
    assert problem.kind == "broken annotation"
    assert problem.sentence.startswith("annotations/instances_train.json: annotation 1 has a segmentation")
    assert problem.files == ("train/a.png",)


# the report


def test_statistics_are_those_of_the_labels(root):
    write_image(root / "train/images/a.png", np.random.default_rng(5), size=(5, 20))
    write_mask(root / "train/masks/a.png", np.full((5, 20), 2))
    labels = np.full(SIZE, 255)
    labels[0] = 0
    write_mask(root / "train/masks/b.png", labels)
    train, val = check_dataset(root).splits
    assert (train.num_samples, train.num_read) == (4, 4)
    assert (train.smallest_size, train.largest_size) == ((5, 12), (10, 20))
    assert (val.smallest_size, val.largest_size) == (SIZE, SIZE)
    num_valid = 2 * 120 + 100 + 12
    assert train.ignored_share == pytest.approx(108 / (num_valid + 108))
    assert [each.num_images for each in train.classes] == [3, 2, 3]
    expected = [(2 * 40 + 12) / num_valid, 2 * 40 / num_valid, (2 * 40 + 100) / num_valid]
    np.testing.assert_allclose([each.pixel_share for each in train.classes], expected)


def test_a_split_of_which_nothing_could_be_read_has_figures_too(root):
    for path in (root / "train/masks").iterdir():
        path.write_bytes(b"")
    report = check_dataset(root, crop_size=(4, 4))
    assert report.splits[0].num_read == 0
    assert [each.pixel_share for each in report.splits[0].classes] == [0, 0, 0]
    json.dumps(report.to_dict(), allow_nan=False)
    assert "train/masks/a.png" in report.to_table()


def test_problems_come_errors_first(root):
    shutil.copy(root / "train/images/a.png", root / "train/images/b.png")
    shutil.copy(root / "train/images/a.png", root / "val/images/b.png")
    assert [problem.severity for problem in check_dataset(root).problems] == ["error", "note"]


def test_check_each_tells_every_pair_in_order(root):
    told = [(step.split, step.done, step.total) for step in check_each(root)]
    assert told == [("train", done, 4) for done in range(1, 5)] + [("val", done, 2) for done in range(1, 3)]


def test_check_can_be_left_early(root):
    steps = check_each(root)
    next(steps)
    steps.close()


def test_only_the_asked_splits_are_read(root):
    (root / "val/masks/a.png").unlink()
    assert check_dataset(root, splits=["train"]).problems == ()
    with pytest.raises(DataError, match='has no split "vla"; did you mean "val"'):
        check_dataset(root, splits=["vla"])


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        check_dataset(tmp_path / "nowhere")


def test_quick_reads_a_few_pairs_and_looks_for_all_files(root):
    write_split(root, "train", [f"n{number:03}" for number in range(100)], seed=1)
    (root / "train/masks/n050.png").unlink()
    report = check_dataset(root, quick=True)
    assert sole(report).files == ("train/images/n050.png",)
    assert report.splits[0].num_samples == 104
    assert report.splits[0].num_read == QUICK_PAIRS


# before training


def test_refuse_mistakes_lets_clean_data_pass(root):
    refuse_mistakes(root, splits=("train", "val"))


def test_refuse_mistakes_says_the_same_sentences(root):
    (root / "train/masks/b.png").unlink()
    write_mask(root / "train/masks/c.png", mask_of((0, 1, 2), size=(10, 13)))
    (root / "train/images/d.png").write_bytes(b"")
    (root / "val/masks/a.png").write_bytes(b"")
    sentences = [problem.sentence for problem in check_dataset(root).errors]
    assert len(sentences) == 4
    with pytest.raises(DataError) as caught:
        refuse_mistakes(root, splits=("train", "val"))
    assert all(sentence in str(caught.value) for sentence in sentences[:3])
    assert f"1 more kinds of mistakes were seen. Run `atrous check {root}` for all" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refuse_mistakes_minds_only_what_training_uses(root):
    (root / "val/masks/a.png").unlink()
    refuse_mistakes(root, splits=("train", ""))
    with pytest.raises(DataError, match="val/images/a.png has no mask"):
        refuse_mistakes(root, splits=("train", "val"))


# real data


def test_camvid_has_no_mistakes(shared_data):
    report = check_dataset(shared_data / "camvid", quick=True)
    assert report.problems == ()
    assert [(split.name, split.num_samples, split.num_read) for split in report.splits] == [
        ("train", 367, 16),
        ("val", 101, 16),
    ]


@pytest.mark.slow
def test_all_of_camvid_has_no_mistakes(shared_data):
    report = check_dataset(shared_data / "camvid", crop_size=(320, 320))
    assert report.problems == ()
    train = report.splits[0]
    assert train.num_read == 367
    assert train.smallest_size == train.largest_size == (360, 480)
    assert max(train.classes, key=lambda each: each.pixel_share).name == "Road"
    assert sum(each.pixel_share for each in train.classes) == pytest.approx(1)


@pytest.fixture
def isbi(tmp_path, shared_data):
    """The ISBI 2012 slices as train and val, by links; labels.toml is still to be written."""
    source = shared_data / "isbi2012"
    for split, numbers in (("train", range(18)), ("val", range(18, 24))):
        for folder, origin in (("images", "images"), ("masks", "labels")):
            (tmp_path / split / folder).mkdir(parents=True)
            for number in numbers:
                file = f"{number}.png"
                (tmp_path / split / folder / file).symlink_to((source / origin / file).resolve())
    return tmp_path


def test_isbi_without_values_is_explained(isbi):
    (isbi / "labels.toml").write_text('names = ["membrane", "cell"]\n')
    problem = only_error(check_dataset(isbi))
    assert problem.kind == "binary mask"
    assert len(problem.files) == 24
    (isbi / "labels.toml").write_text('names = ["membrane", "cell"]\nvalues = [0, 255]\n')
    assert check_dataset(isbi, crop_size=(320, 320)).problems == ()
