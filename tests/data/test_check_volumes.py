"""Mistakes of volumes are told in plain words."""

import numpy as np
import pytest

from atrous.data.check import check_dataset, refuse_mistakes
from atrous.errors import DataError
from data.nifti import AFFINE, save, some_volume

NUMBERS = np.random.default_rng(3).integers(0, 3, (14, 11, 9)).astype(np.uint8)


@pytest.fixture
def volumes(tmp_path):
    """DATA/{train,val} with two and one labelled volumes without a mistake."""
    for split, names in (("train", "ab"), ("val", "c")):
        for folder in ("images", "masks"):
            (tmp_path / split / folder).mkdir(parents=True)
        for name in names:
            data = some_volume() + ord(name) * np.arange(9)
            save(tmp_path / split / "images" / f"{name}.nii.gz", data.astype(np.int16))
            save(tmp_path / split / "masks" / f"{name}.nii.gz", NUMBERS)
    (tmp_path / "labels.toml").write_text('names = ["background", "head", "tail"]\n')
    return tmp_path


def test_volumes_without_mistakes_have_figures(volumes):
    report = check_dataset(volumes)
    assert (report.exit_code, report.problems) == (0, ())
    assert report.splits[0].largest_size == (14, 11, 9)
    assert "14 x 11 x 9" in report.to_table()
    assert "voxels" in report.to_table()
    refuse_mistakes(volumes, splits=("train",))


@pytest.mark.parametrize(
    ("kind", "data", "affine", "said"),
    [
        ("sizes", NUMBERS[1:], AFFINE, "14 x 11 x 9 voxels and its mask train/masks/a.nii.gz 13 x 11 x 9"),
        (
            "place",
            NUMBERS,
            AFFINE + np.eye(4) * [1, 1, 1, 0],
            "voxels lie at different places",
        ),
        ("labels", NUMBERS + 1, AFFINE, "train/masks/a.nii.gz holds 3, but the classes are 0-2"),
        (
            "axes",
            np.zeros((4, 4, 4, 2), np.uint8),
            AFFINE,
            "has the axes (4, 4, 4, 2)",
        ),
    ],
)
def test_a_mask_that_does_not_fit_is_told(volumes, kind, data, affine, said):
    save(volumes / "train" / "masks" / "a.nii.gz", data, affine=affine)
    report = check_dataset(volumes)
    (problem,) = report.errors
    assert said in problem.sentence, kind
    with pytest.raises(DataError, match="Run `atrous check"):
        refuse_mistakes(volumes, splits=("train",))


def test_broken_images_are_told(volumes):
    data = some_volume(np.float32)
    data[1, 1, 1] = np.nan
    save(volumes / "train" / "images" / "a.nii.gz", data)
    save(volumes / "train" / "images" / "b.nii.gz", np.zeros((4, 4, 4, 3), np.float32))
    (volumes / "val" / "masks" / "c.nii.gz").write_bytes(b"nothing")
    kinds = {problem.kind: problem.sentence for problem in check_dataset(volumes).errors}
    assert kinds.keys() == {"unreadable image", "voxels without intensity", "unreadable mask"}
    assert "1 voxels that are NaN" in kinds["voxels without intensity"]
    assert "has the axes (4, 4, 4, 3)" in kinds["unreadable image"]
    assert "cut off or damaged" in kinds["unreadable mask"]


def test_voxels_of_several_sizes_are_a_note(volumes):
    affine = AFFINE @ np.diag([1, 1, 1.5, 1])
    for folder, data in (("images", some_volume()), ("masks", NUMBERS)):
        save(volumes / "train" / folder / "a.nii.gz", data, affine=affine)
    (note,) = check_dataset(volumes).notes
    assert note.kind == "voxel sizes differ"
    assert "z 1.5-2.25 mm" in note.sentence


def test_crops_of_images_are_refused(volumes):
    with pytest.raises(DataError, match="holds volumes, and crop_size"):
        check_dataset(volumes, crop_size=(4, 4))
