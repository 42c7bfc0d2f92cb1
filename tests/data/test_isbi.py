import numpy as np
import pytest
from PIL import Image

from atrous.data.check import check_dataset
from atrous.data.isbi import ISBI_LABELS, find_isbi_splits, open_isbi
from atrous.data.open import find_layout, open_dataset
from atrous.errors import DataError


@pytest.fixture
def slices(tmp_path):
    """Builds DATA/{images,labels} of numbered slices."""

    def build(count, *, ending=".png", stored=(0, 255)):
        generator = np.random.default_rng(0)
        for folder in ("images", "labels"):
            (tmp_path / folder).mkdir()
        for number in range(count):
            image = generator.integers(0, 256, (6, 8), np.uint8)
            labels = np.asarray(stored, np.uint8)[(image > 60).astype(int)]
            Image.fromarray(image).save(tmp_path / "images" / f"{number}{ending}")
            Image.fromarray(labels).save(tmp_path / "labels" / f"{number}{ending}")
        return tmp_path

    return build


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_the_last_slices_by_number_are_held_out(slices, ending):
    root = slices(24, ending=ending)
    assert find_layout(root) == "ISBI 2012"
    assert find_isbi_splits(root) == ("train", "val")
    train, val = (open_isbi(root, split) for split in ("train", "val"))
    assert [pair.name for pair in train.pairs] == [str(number) for number in range(20)]
    assert [pair.name for pair in val.pairs] == ["20", "21", "22", "23"]


@pytest.mark.parametrize(("count", "held_out"), [(1, 1), (2, 1), (30, 5)])
def test_every_slice_is_in_one_split(slices, count, held_out):
    root = slices(count)
    train, val = (open_isbi(root, split) for split in ("train", "val"))
    assert len(val) == held_out
    assert len(train) + len(val) == count


def test_gray_slices_are_seen_as_rgb_and_0_255_as_membrane_and_cell(slices):
    sample = open_dataset(slices(3), "train")[1]
    assert sample.image.shape == (6, 8, 3)
    assert (sample.image == sample.image[..., :1]).all()
    assert ISBI_LABELS.names == ("membrane", "cell")
    np.testing.assert_array_equal(sample.labels, sample.image[..., 0] > 60)


def test_other_classes_stand_in_labels_toml(slices):
    root = slices(3, stored=(1, 2))
    with pytest.raises(DataError, match="holds 1, 2, but the classes are 0, 255"):
        open_isbi(root, "train")[0]
    (root / "labels.toml").write_text('names = ["wall", "room"]\nvalues = [1, 2]\n')
    dataset = open_isbi(root, "train")
    assert dataset.label_set.names == ("wall", "room")
    assert set(np.unique(dataset[0].labels)) == {0, 1}


def test_files_that_are_no_numbered_slices_are_left_to_other_layouts(slices):
    root = slices(2)
    (root / "images" / "photo.png").write_bytes((root / "images" / "0.png").read_bytes())
    assert find_isbi_splits(root) == ()
    with pytest.raises(DataError, match="has images but no splits"):
        open_dataset(root, "train")


def test_a_slice_without_a_mask_is_found(slices):
    root = slices(7)
    (root / "labels" / "3.png").unlink()
    report = check_dataset(root)
    assert any("3.png has no mask" in problem.sentence for problem in report.errors)


def test_the_real_slices(shared_data):
    root = shared_data / "isbi2012"
    if not root.is_dir():
        pytest.skip("needs ISBI 2012 in ../shared/data, which is not part of the project")
    train, val = (open_dataset(root, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (20, 4)
    sample = val[0]
    assert sample.name == "20"
    assert sample.image.shape == (512, 512, 3)
    assert 0.1 < (sample.labels == 0).mean() < 0.4  # membranes are thin
