import json
import shutil
from itertools import product

import numpy as np
import pytest

from atrous.data.check import check_dataset
from atrous.data.folder import FileMask
from atrous.data.open import find_layout, open_dataset, splits
from atrous.data.sbd import SbdMask
from atrous.data.voc import COCO_NAMES, VOC_LABELS, augmented_names, open_voc
from atrous.errors import DataError
from data.known_sets import checked, save_image, save_mask, write_coco, write_sbd, write_voc

COCO_80 = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop
sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack,
umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball
glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana,
apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed,
dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink,
refrigerator, book, clock, vase, scissors, teddy bear, hair drier, toothbrush
"""


@pytest.fixture
def voc(tmp_path):
    """DATA with VOCdevkit/VOC2012."""
    write_voc(tmp_path / "VOCdevkit" / "VOC2012")
    return tmp_path


@pytest.fixture
def everything(voc):
    """VOC, SBD and COCO."""
    write_sbd(voc / "benchmark_RELEASE" / "dataset")
    write_coco(voc / "coco")
    return voc


def _names(dataset):
    return [dataset[index].name for index in range(len(dataset))]


def test_the_palette_interleaves_the_bits_of_the_label():  # VOCdevkit, VOClabelcolormap.m
    for label, color in enumerate(VOC_LABELS.palette):
        expected = [0, 0, 0]
        for bit, channel in product(range(8), range(3)):
            if label >> (3 * bit + channel) & 1:
                expected[channel] |= 128 >> bit
        assert list(color) == expected
    assert VOC_LABELS.num_classes == 21


@pytest.mark.parametrize("place", [".", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_is_found_in_its_folder_and_above(voc, place):
    root = voc / place
    assert find_layout(root) == "VOC"
    assert splits(root) == ("train", "trainval", "val")
    dataset = open_dataset(root, "train")
    assert _names(dataset) == ["2007_000032", "2007_000039"]
    assert dataset.label_set == VOC_LABELS
    np.testing.assert_array_equal(dataset[0].labels, checked(*range(21), 255))  # indices, not palette colors
    assert len(open_dataset(root, "trainval")) == 3


def test_a_list_that_is_not_there_is_no_split(voc):
    (voc / "VOCdevkit/VOC2012/ImageSets/Segmentation/trainval.txt").unlink()
    assert splits(voc) == ("train", "val")


def test_check_finds_no_mistake(everything):
    report = check_dataset(everything)
    assert report.layout == "VOC"
    assert [split.name for split in report.splits] == [
        *("train", "val", "coco_train", "coco_val", "trainaug", "trainval")
    ]
    assert report.problems == ()  # trainval repeats train and val by what its name says


def test_check_tells_a_broken_file_of_coco(everything):
    (everything / "coco/annotations/instances_val2017.json").write_text("{}")
    (problem,) = check_dataset(everything).errors
    assert problem.kind == "split cannot be opened"


def test_check_takes_more_classes_in_trainaug_for_no_mistake(everything):
    mask = everything / "VOCdevkit/VOC2012/SegmentationClass"
    for name in ("2007_000032", "2007_000039"):
        save_mask(mask / f"{name}.png", checked(0, 1))
    kinds = {problem.sentence.split(" shows ")[0] for problem in check_dataset(everything).errors}
    assert kinds == {"val"}  # its classes, and not those of trainaug, must occur in train


def test_check_tells_an_image_of_val_in_trainaug(everything):
    mine = everything / "VOCdevkit/VOC2012/JPEGImages"
    shutil.copy(mine / "2007_000033.jpg", everything / "benchmark_RELEASE/dataset/img/2008_000002.jpg")
    (problem,) = check_dataset(everything).errors
    assert problem.kind == "duplicate between splits"


def test_check_tells_a_wrong_number_where_labels_of_sbd_come_first(everything):
    path = everything / "VOCdevkit/VOC2012"
    (path / "ImageSets/Segmentation/train.txt").write_text("2009_000001\n")
    save_image(path / "JPEGImages/2009_000001.jpg")
    save_mask(path / "SegmentationClass/2009_000001.png", checked(0, 77))
    (problem,) = check_dataset(everything, splits=["trainaug"]).errors
    assert (
        "2009_000001.png holds 77, but the classes are 0-20 and 255 is ignored; these are" in problem.sentence
    )


@pytest.mark.parametrize("place", ["benchmark_RELEASE/dataset", "SBD", "sbd/dataset"])
def test_trainaug_joins_voc_and_sbd_without_val(voc, place):
    write_sbd(voc / place)
    assert splits(voc) == ("train", "trainaug", "trainval", "val")
    dataset = open_voc(voc, "trainaug")
    assert _names(dataset) == ["2007_000032", "2007_000039", "2008_000002", "2008_000003"]
    assert [type(pair.mask) for pair in dataset.pairs] == [FileMask, FileMask, SbdMask, SbdMask]
    np.testing.assert_array_equal(dataset[0].labels, checked(*range(21), 255))  # VOC's, though SBD has it too
    np.testing.assert_array_equal(dataset[2].labels, checked(0, 15))


def test_trainaug_takes_images_of_voc_where_there_are_any(voc):
    sbd = write_sbd(voc / "SBD")
    mine = voc / "VOCdevkit/VOC2012/JPEGImages"
    save_image(mine / "2008_000003.jpg")
    folders = [pair.image_path.parent for pair in open_voc(voc, "trainaug").pairs]
    assert folders == [mine, mine, sbd / "img", mine]


def test_trainaug_needs_the_list_of_what_to_leave_out(everything):
    (everything / "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt").unlink()
    assert "trainaug" not in splits(everything)


def test_augmented_names_is_set_arithmetic():
    generator = np.random.default_rng(0)
    for _ in range(50):
        train, val, sbd = (
            {f"{number:03d}" for number in generator.integers(0, 60, 30)} for _ in ("train", "val", "sbd")
        )
        expected = [
            name for name in sorted(train | val | sbd) if (name in train or name in sbd) and name not in val
        ]
        assert augmented_names(train=train, val=val, sbd=sbd) == expected


def test_augmented_names_of_the_true_sizes_are_10582():  # Yu & Koltun 2016, section 4
    # VOC: train 1,464 and val 1,449 have no image in common. SBD: 8,498 + 2,857, of VOC trainval all but 676.
    train, val = (range(1464), range(1464, 2913))
    sbd = range(676, 676 + 8498 + 2857)
    names = [[str(number) for number in numbers] for numbers in (train, val, sbd)]
    assert len(augmented_names(train=names[0], val=names[1], sbd=names[2])) == 10582


def test_without_sbd_trainaug_says_where_it_comes_from(voc):
    with pytest.raises(
        DataError, match=r"benchmark\.tgz at http://home\.bharathh\.info.*DATA/benchmark_RELEASE/data"
    ):
        open_dataset(voc, "trainaug")


@pytest.mark.parametrize(
    ("split", "message"),
    [("coco_train", r"cocodataset\.org.*DATA/coco"), ("test", "not public"), ("vall", 'did you mean "val"')],
)
def test_a_split_that_is_not_there_says_how_to_get_it(voc, split, message):
    with pytest.raises(DataError, match=message):
        open_dataset(voc, split)


@pytest.mark.parametrize("folder", ["JPEGImages", "SegmentationClass"])
def test_a_missing_folder_is_named(voc, folder):
    shutil.rmtree(voc / "VOCdevkit/VOC2012" / folder)
    with pytest.raises(DataError, match=rf"{folder} is missing; get VOCtrainval_11-May-2012\.tar"):
        open_dataset(voc, "val")


def test_missing_lists_say_what_voc_is(voc):
    shutil.rmtree(voc / "VOCdevkit/VOC2012/ImageSets")
    with pytest.raises(
        DataError, match=r"has VOCdevkit, but not all of the data set.*ImageSets/Segmentation"
    ):
        splits(voc)


def test_an_empty_list_is_named(voc):
    (voc / "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt").write_text("\n")
    with pytest.raises(DataError, match=r"val\.txt lists no images"):
        open_dataset(voc, "val")


def test_sbd_without_its_lists_is_named(everything):
    (everything / "benchmark_RELEASE/dataset/val.txt").unlink()
    with pytest.raises(DataError, match=r"val\.txt cannot be read as a list of images"):
        open_dataset(everything, "trainaug")


def test_coco_is_read_in_the_classes_of_voc(everything):
    assert splits(everything) == ("coco_train", "coco_val", "train", "trainaug", "trainval", "val")
    dataset = open_dataset(everything, "coco_train")
    assert dataset.label_set == VOC_LABELS
    assert _names(dataset) == ["000000000009"]  # a cup is no object of VOC
    expected = np.zeros((6, 8))
    expected[:5, :6] = VOC_LABELS.names.index("diningtable")
    expected[1:3, 1:3] = VOC_LABELS.names.index("cat")
    np.testing.assert_array_equal(dataset[0].labels, expected)
    assert set(np.unique(open_dataset(everything, "coco_val")[0].labels)) == {
        0,
        VOC_LABELS.names.index("dog"),
    }


def test_all_20_classes_of_voc_are_among_cocos_80():
    names = [" ".join(name.split()) for name in COCO_80.split(",")]
    assert len(names) == len(set(names)) == 80
    found = [COCO_NAMES.get(name, name) for name in names]
    assert sorted(set(found) & set(VOC_LABELS.names)) == sorted(VOC_LABELS.names[1:])
    assert set(COCO_NAMES) <= set(names)


def test_a_union_trains_on_voc_sbd_and_coco_at_once(everything):  # section 4: COCO and VOC together
    dataset = open_dataset(everything, "trainaug+coco_train+coco_val")
    assert len(dataset) == 4 + 1 + 1
    assert [dataset[index].name for index in (0, 4, 5)] == [
        "trainaug/2007_000032",
        "coco_train/000000000009",
        "coco_val/000000000139",
    ]
    np.testing.assert_array_equal(dataset[4].labels, open_dataset(everything, "coco_train")[0].labels)


def test_a_union_with_an_image_in_common_is_refused(voc):
    with pytest.raises(DataError, match=r'"train\+trainval" has .*2007_000032\.jpg twice'):
        open_dataset(voc, "train+trainval")


def test_coco_with_other_categories_is_refused(everything):
    path = everything / "coco/annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    content["categories"] = [{"id": number, "name": f"thing {number}"} for number in (17, 18, 47, 67)]
    path.write_text(json.dumps(content))
    with pytest.raises(
        DataError, match=r"no image in .*val2017\.json shows an object of aeroplane, bicycle, bird"
    ):
        open_dataset(everything, "coco_val")
