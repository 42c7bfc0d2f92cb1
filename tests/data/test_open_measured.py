from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.data.open import open_dataset, splits
from atrous.data.open_measured import holds_measured, open_measured
from atrous.errors import DataError
from data.measured_folders import SIZE, write_depths, write_flows


def test_a_folder_of_depths_is_read_in_its_unit(tmp_path):
    write_depths(tmp_path)
    dataset = open_measured(tmp_path, "train")
    assert (len(dataset), dataset.quantity.kind, dataset.quantity.unit) == (4, "depth", "m")
    sample = dataset[1]
    assert (sample.name, sample.values.shape) == ("s1", (1, *SIZE))
    np.testing.assert_allclose(sample.values[0, 5:], 0.02 * sample.image[5:, :, 0], rtol=1e-6)
    assert np.isnan(sample.values[0, :5]).all()
    assert splits(tmp_path) == ("train", "val")
    assert holds_measured(tmp_path)


def test_a_folder_of_flows_gives_both_images(tmp_path):
    write_flows(tmp_path)
    sample = open_measured(tmp_path, "train")[0]
    right, down = sample.values[:, 0, 0].astype(int)
    first, second = sample.image[..., :3], sample.image[..., 3:]
    assert np.array_equal(np.roll(first, (down, right), (0, 1)), second)


def test_a_unit_may_be_given(tmp_path):
    write_depths(tmp_path)
    (tmp_path / "values.toml").write_text('scale = 1\nunit = "mm"\n')
    assert open_measured(tmp_path, "val").quantity.unit == "mm"


def test_masks_beside_depths_leave_the_choice_to_the_task(tmp_path):
    write_depths(tmp_path)
    (tmp_path / "train/masks").mkdir()
    assert not holds_measured(tmp_path)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda root: (root / "train/images/s0.png").unlink(),
            r"s0.png is missing, and the other files of s0",
        ),
        (
            lambda root: (root / "train/depths/s0.png").unlink(),
            r"depths.s0.png is missing, and the other files",
        ),
        (
            lambda root: Image.new("RGB", (9, 8)).save(root / "train/images/s0.png"),
            r"s0.png is 9 x 8 px and .*s0.png 48 x 40 px \(width x height\); they must agree",
        ),
        (lambda root: (root / "values.toml").unlink(), r"nothing says how much 1 is; write scale"),
        (lambda root: (root / "values.toml").write_text("scale = 0"), r"values.toml: scale is 0"),
        (lambda root: (root / "values.toml").write_text("scales = 1"), r'unknown key "scales"'),
        (lambda root: (root / "train/flows").mkdir(), r"has depths and flows; a network gives one"),
        (
            lambda root: Image.new("RGB", (9, 8)).save(root / "train/images/s0.jpg"),
            r"s0.png and s0.jpg have the same stem",
        ),
        (lambda root: (root / "train/images").rename(root / "train/pictures"), r"images is missing beside"),
        (lambda root: np.save(root / "train/depths/s0.npy", 1.0), r"have the same stem"),
    ],
)
def test_mistakes_in_a_folder_are_told(tmp_path, harm, message):
    write_depths(tmp_path)
    harm(tmp_path)
    with pytest.raises(DataError, match=message):
        open_measured(tmp_path, "train")[0]


def test_files_of_other_names_are_told(tmp_path):
    write_depths(tmp_path, train=1)
    (tmp_path / "train/depths/s0.png").rename(tmp_path / "train/depths/t0.png")
    with pytest.raises(DataError, match=r"no file in .*depths has the name of an image in"):
        open_measured(tmp_path, "train")


def test_what_is_not_there_is_told(tmp_path):
    write_depths(tmp_path)
    with pytest.raises(DataError, match=r'has no split "tests"; known are train, val'):
        open_measured(tmp_path, "tests")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no measured values; put images into"):
        open_measured(tmp_path / "empty", "train")
    with pytest.raises(DataError, match=r"no built-in data builtin:scenes of depth or flow"):
        open_measured(Path("builtin:scenes"), "train")
    with pytest.raises(DataError, match=r"builtin:deth is not built in; give .*builtin:depth"):
        open_dataset(Path("builtin:deth"), "train")
    with pytest.raises(
        DataError, match=r"holds measured values and no labels; atrous train learns them with --task"
    ):
        open_dataset(tmp_path, "train")
