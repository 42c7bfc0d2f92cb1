import numpy as np
import pytest

from atrous.data.encoding import IndexEncoding
from atrous.data.folder import Dataset, Pair
from atrous.data.labels import LabelSet
from atrous.data.volume_pair import VolumeMask, read_intensities, refuse_other_grid
from atrous.errors import DataError
from data.nifti import AFFINE, load, save, some_volume

FLIPPED = AFFINE @ np.diag([-1, 1, 1, 1])
LABELS = np.random.default_rng(3).integers(0, 3, (14, 11, 9))


def mask_of(path, numbers, *, values=(0, 1, 2), **options):
    return VolumeMask(save(path, numbers, **options), IndexEncoding(values))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int16])
@pytest.mark.parametrize("scaling", [(None, None), (2, 0)])
def test_labels_are_read_as_numbers_of_any_type_and_scaling(tmp_path, dtype, scaling):
    values = (0, 1, 2) if scaling[0] is None else (0, 2, 4)
    mask = mask_of(tmp_path / "a.nii.gz", LABELS.astype(dtype), scaling=scaling, values=values)
    np.testing.assert_array_equal(mask.read(), LABELS[::-1])  # AFFINE counts to the left


def test_a_pair_is_upright_and_has_a_spacing(tmp_path):
    data = some_volume(np.float32)
    pair = Pair("a", save(tmp_path / "a.nii", data), mask_of(tmp_path / "m.nii", LABELS.astype(np.uint8)))
    sample = Dataset(LabelSet(("x", "y", "z")), (pair,))[0]
    np.testing.assert_array_equal(sample.image, data[::-1])
    np.testing.assert_array_equal(sample.labels, LABELS[::-1])
    np.testing.assert_allclose(sample.spacing, (np.hypot(0.7, 0.1), np.hypot(0.7, 0.1), 1.5))


def test_a_real_pair_is_what_nibabel_reads(shared_data):
    path = min((shared_data / "hippocampus" / "images").glob("*.nii.gz"))
    values, spacing = read_intensities(path)
    np.testing.assert_array_equal(values, np.asarray(load(path).dataobj, np.float32))
    assert spacing == (1, 1, 1)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (np.full((2, 3, 4), 0.5, np.float32), r"holds 0\.5, and a mask has one whole number"),
        (np.full((2, 3, 4), -1, np.int16), "holds -1, and a mask has one whole number"),
        (np.full((2, 3, 4), 300, np.int16), "holds 300, and a mask"),
        (np.full((2, 3, 4), np.nan, np.float32), "holds nan, and a mask"),
        (np.full((2, 3, 4), 3, np.uint8), r"m\.nii holds 3, but the classes are 0-2"),
        (np.zeros((2, 3, 4, 2), np.uint8), "has the axes"),
    ],
)
def test_masks_that_hold_no_labels_are_refused(tmp_path, numbers, said):
    with pytest.raises(DataError, match=said):
        mask_of(tmp_path / "m.nii", numbers).read()


def test_voxels_without_intensity_are_refused(tmp_path):
    data = some_volume(np.float32)
    data[0, 0, :2] = np.nan, np.inf
    with pytest.raises(DataError, match=r"a\.nii holds 2 voxels that are NaN or infinite"):
        read_intensities(save(tmp_path / "a.nii", data))


def test_another_grid_is_refused(tmp_path):
    image = save(tmp_path / "a.nii", some_volume())
    refuse_other_grid(image, save(tmp_path / "m.nii", LABELS.astype(np.uint8)))
    for numbers, affine, said in (
        (LABELS[1:], AFFINE, "has 14 x 11 x 9 voxels and its mask .*m.nii 13 x 11 x 9"),
        (LABELS, FLIPPED, "lie at different places"),
    ):
        mask = save(tmp_path / "m.nii", numbers.astype(np.uint8), affine=affine)
        with pytest.raises(DataError, match=said):
            refuse_other_grid(image, mask)
