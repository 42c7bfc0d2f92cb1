import numpy as np
import pytest
from PIL import Image

from atrous.data.camvid import (
    CAMVID_COLORS,
    CAMVID_LABELS,
    CAMVID_RELEASED_LABELS,
    find_camvid_splits,
    open_camvid,
)
from atrous.errors import DataError


def _save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(path)


def test_camvid_has_the_released_colors_in_the_order_of_the_copy():
    # FACTS section 6: classes and palette in the order of the released network, joined by name.
    released = {
        "Building": (128, 0, 0),
        "Tree": (128, 128, 0),
        "Sky": (128, 128, 128),
        "Car": (64, 0, 128),
        "SignSymbol": (192, 128, 128),
        "Road": (128, 64, 128),
        "Pedestrian": (64, 64, 0),
        "Fence": (64, 64, 128),
        "Pole": (192, 192, 128),
        "Pavement": (0, 0, 192),  # Sidewalk there
        "Bicyclist": (0, 128, 192),
    }
    order = "Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist"
    assert " ".join(CAMVID_LABELS.names) == order
    assert dict(zip(CAMVID_LABELS.names, CAMVID_LABELS.palette, strict=True)) == released


def test_the_released_network_names_the_colors_of_the_copy():
    order = "Building Tree Sky Car Sign Road Pedestrian Fence Pole Sidewalk Bicyclist"  # FACTS section 6
    assert " ".join(CAMVID_RELEASED_LABELS.names) == order
    copy = {"Sign": "SignSymbol", "Sidewalk": "Pavement"}
    for name, color in zip(CAMVID_RELEASED_LABELS.names, CAMVID_RELEASED_LABELS.palette, strict=True):
        assert color == CAMVID_COLORS[copy.get(name, name)][0]


def test_camvid_groups_31_of_its_32_colors():
    colors = [color for group in CAMVID_COLORS.values() for color in group]
    assert len(set(colors)) == len(colors) == 31
    assert (0, 0, 0) not in colors


def test_index_masks_ignore_11(tmp_path):
    _save(tmp_path / "train/a.png", np.zeros((2, 3, 3)))
    _save(tmp_path / "trainannot/a.png", [[0, 5, 11], [10, 11, 3]])
    dataset = open_camvid(tmp_path, "train")
    np.testing.assert_array_equal(dataset[0].labels, [[0, 5, 255], [10, 255, 3]])
    assert dataset.label_set == CAMVID_LABELS


def test_index_masks_refuse_12(tmp_path):
    _save(tmp_path / "train/a.png", np.zeros((1, 2, 3)))
    _save(tmp_path / "trainannot/a.png", [[0, 12]])
    with pytest.raises(DataError, match="holds 12, but the classes are 0-10 and 11 is ignored"):
        open_camvid(tmp_path, "train")[0]


@pytest.mark.parametrize("name", ["a.png", "a_L.png"])
def test_color_masks_are_grouped_into_11_classes(tmp_path, name):
    _save(tmp_path / "val/a.png", np.zeros((1, 5, 3)))
    car, truck, wall, void, blended = (64, 0, 128), (192, 128, 192), (64, 192, 0), (0, 0, 0), (65, 1, 128)
    _save(tmp_path / "val_labels" / name, [[car, truck, wall, void, blended]])
    np.testing.assert_array_equal(open_camvid(tmp_path, "val")[0].labels, [[8, 8, 1, 255, 255]])


def test_labels_toml_replaces_the_classes(tmp_path):
    _save(tmp_path / "train/a.png", np.zeros((1, 2, 3)))
    _save(tmp_path / "trainannot/a.png", [[1, 255]])
    (tmp_path / "labels.toml").write_text('names = ["soil", "plant"]')
    dataset = open_camvid(tmp_path, "train")
    assert dataset.label_set.names == ("soil", "plant")
    np.testing.assert_array_equal(dataset[0].labels, [[1, 255]])


def test_two_kinds_of_masks_are_refused(tmp_path):
    for folder in ("train", "trainannot", "train_labels"):
        (tmp_path / folder).mkdir()
    assert find_camvid_splits(tmp_path) == ("train",)
    with pytest.raises(DataError, match="keep one of the two"):
        open_camvid(tmp_path, "train")


@pytest.mark.parametrize(("split", "num_images"), [("train", 367), ("val", 101)])
def test_the_common_copy_is_read(shared_data, split, num_images):
    dataset = open_camvid(shared_data / "camvid", split)
    assert len(dataset) == num_images
    counts = np.zeros(256, dtype=np.int64)
    for index in range(0, num_images, 10):
        sample = dataset[index]
        assert sample.image.shape == (360, 480, 3)
        counts += np.bincount(sample.labels.ravel(), minlength=256)
    assert (counts[:11] > 0).all()  # every class occurs
    assert counts[11:255].sum() == 0
    assert 0 < counts[255] < counts.sum() / 10  # few pixels are ignored
