"""Upright volumes against nibabel's closest canonical image."""

import itertools

import nibabel
import numpy as np
import pytest
from nibabel.affines import from_matvec, voxel_sizes

from atrous.data.orientation3d import on_one_grid, orientation_of
from atrous.errors import DataError

DATA = np.arange(2 * 3 * 4).reshape(2, 3, 4)
CODES = [
    "".join(letter[side] for letter, side in zip(order, sides, strict=True))
    for order in itertools.permutations(("RL", "AP", "SI"))
    for sides in itertools.product((0, 1), repeat=3)
]


def tilted(affine, degrees):
    turn = np.radians(degrees)
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    return from_matvec(about_z @ affine[:3, :3], affine[:3, 3])


@pytest.mark.parametrize("degrees", [0, 20])
def test_every_order_of_axes_becomes_right_front_up_and_back(degrees):
    for codes in CODES:
        axes = nibabel.orientations.axcodes2ornt(codes)
        plain = nibabel.orientations.inv_ornt_aff(axes, DATA.shape) @ np.diag([0.5, 2.0, 3.0, 1.0])
        affine = tilted(plain, degrees)
        orientation = orientation_of(affine, source="a.nii")
        truth = nibabel.as_closest_canonical(nibabel.Nifti1Image(DATA.astype(np.int16), affine))
        np.testing.assert_array_equal(orientation.upright(DATA), np.asarray(truth.dataobj))
        np.testing.assert_allclose(orientation.spacing, voxel_sizes(truth.affine))
        np.testing.assert_array_equal(orientation.as_stored(orientation.upright(DATA)), DATA)


def test_an_axis_that_leads_nowhere_is_refused():
    with pytest.raises(DataError, match=r"a\.nii says that voxels lie in one place along an axis"):
        orientation_of(np.diag([1.0, 0.0, 1.0, 1.0]), source="a.nii")


def test_grids_are_one_up_to_a_thousandth_of_a_voxel():
    affine = np.diag([0.5, 0.5, 2.0, 1.0])
    for change, same in ((0.0004, True), (0.0006, False)):
        moved = affine.copy()
        moved[0, 3] += change
        assert on_one_grid(affine, moved) == same
