import shutil

import numpy as np
import pytest

from atrous.data.camvid import CAMVID_RELEASED_LABELS
from atrous.data.check import check_dataset
from atrous.data.cityscapes import CITYSCAPES_LABELS
from atrous.data.kitti import KITTI_LABELS
from atrous.data.open import find_layout, open_dataset, splits
from atrous.errors import DataError
from data.known_sets import CITYSCAPES_IDS, SIZE, checked, save_mask, write_kitti_2018, write_ros

VOID, UNKNOWN = (0, 0, 0), (1, 2, 3)
COLORS = (*KITTI_LABELS.palette, VOID, UNKNOWN)


@pytest.mark.parametrize("place", [".", "KITTI_SEMANTIC"])
def test_the_data_of_ros_are_found(tmp_path, place):
    write_ros(tmp_path / place, COLORS)
    assert find_layout(tmp_path) == "KITTI"
    assert splits(tmp_path) == ("train", "val")
    dataset = open_dataset(tmp_path, "train")
    assert [dataset[index].name for index in range(2)] == ["000004", "000020"]
    assert dataset.label_set == KITTI_LABELS
    np.testing.assert_array_equal(dataset[0].labels, checked(*range(11), 255, 255))
    assert len(open_dataset(tmp_path, "val")) == 1


def test_the_colors_are_those_of_camvid():  # the released kitti.json and camvid.json have one palette
    assert KITTI_LABELS.palette == CAMVID_RELEASED_LABELS.palette


def test_the_benchmark_of_2018_is_read_in_classes_of_cityscapes(tmp_path):
    write_kitti_2018(tmp_path)
    assert find_layout(tmp_path) == "KITTI"
    assert splits(tmp_path) == ("train",)
    dataset = open_dataset(tmp_path, "train")
    assert dataset.label_set == CITYSCAPES_LABELS
    road = CITYSCAPES_LABELS.names.index("road")
    np.testing.assert_array_equal(dataset[0].labels == road, checked(*CITYSCAPES_IDS) == 7)
    assert dataset[0].labels.shape == SIZE


def test_check_finds_no_mistake(tmp_path):
    write_ros(tmp_path / "ros", COLORS)
    write_kitti_2018(tmp_path / "benchmark")
    report = check_dataset(tmp_path / "ros")
    assert (report.layout, report.problems) == ("KITTI", ())
    report = check_dataset(tmp_path / "benchmark")
    assert report.errors == ()
    assert [problem.kind for problem in report.notes] == ["no val split"]


def test_a_mask_without_colors_is_refused_and_not_all_ignored(tmp_path):
    write_ros(tmp_path, COLORS)
    save_mask(tmp_path / "Training_00/GT/000020.png", checked(0, 1))
    with pytest.raises(DataError, match=r"000020\.png is a mask without colors \(L\), where colors tell the"):
        open_dataset(tmp_path, "train")[1]
    (problem,) = check_dataset(tmp_path).errors
    assert "000020.png is a mask without colors" in problem.sentence


@pytest.mark.parametrize("folder", ["RGB", "GT"])
def test_a_missing_folder_says_where_the_data_come_from(tmp_path, folder):
    write_ros(tmp_path, COLORS)
    shutil.rmtree(tmp_path / "Validation_07" / folder)
    with pytest.raises(DataError, match=rf"{folder} is missing; for the data of Ros .*adas\.cvc\.uab\.es"):
        open_dataset(tmp_path, "val")


def test_images_of_another_benchmark_say_what_is_missing(tmp_path):
    write_kitti_2018(tmp_path)
    shutil.rmtree(tmp_path / "training/semantic")
    with pytest.raises(DataError, match=r"has training/image_2, but not all .*data_semantics\.zip"):
        splits(tmp_path)


@pytest.mark.parametrize(
    ("split", "message"), [("test", "Validation_07 of Ros"), ("val", "one split with masks")]
)
def test_a_split_that_is_not_there_says_why(tmp_path, split, message):
    write_kitti_2018(tmp_path)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path, split)
