import gzip
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.data.percentiles import percentiles
from atrous.data.volumes import open_volume
from atrous.errors import ConfigError, DataError, ShapeError
from data.nifti import save, some_volume
from inference.raster_files import cut_off


def gray_truth(data, axis):
    black, white = np.percentile(data.astype(np.float32), (0.5, 99.5), method="lower")
    gray = np.rint(255 * np.clip((data.astype(np.float32) - black) / (white - black), 0, 1)).astype(np.uint8)
    return np.moveaxis(gray, axis, 0)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.uint8, np.float64])
def test_slices_are_those_of_the_whole_volume_scaled(tmp_path, name, axis, dtype):
    data = some_volume(dtype)
    truth = gray_truth(data, axis)
    with open_volume(save(tmp_path / name, data), axis=axis) as volume:
        assert (volume.num_slices, *volume.size) == truth.shape
        for index, gray in enumerate(truth):
            np.testing.assert_array_equal(volume.read(index), np.stack([gray] * 3, -1))


def test_the_scaling_of_the_file_is_applied(tmp_path):
    data = some_volume()
    with open_volume(save(tmp_path / "a.nii", data, scaling=(-2, 100))) as volume:
        np.testing.assert_array_equal(volume.read(3)[..., 0], gray_truth(-2 * data.astype(int) + 100, 2)[3])


@given(
    arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)),
           elements=st.floats(width=32)),
    st.floats(0, 100),
)  # fmt: skip
def test_percentiles_are_those_of_the_whole_array(data, share):
    parts = [lambda part=part: part for part in data]
    finite = data[np.isfinite(data)]
    truth = np.sort(finite)[int(share / 100 * (finite.size - 1))] if finite.size else 0
    assert percentiles(parts, (share,)) == (truth,)


def test_voxels_that_are_not_finite_are_black_and_do_not_count(tmp_path):
    data = some_volume(np.float32)
    data[3, 4, 5], data[0, 0, 5] = np.nan, np.inf
    with open_volume(save(tmp_path / "a.nii", data)) as volume:
        assert volume.read(5)[3, 4, 0] == volume.read(5)[0, 0, 0] == 0
        assert np.isfinite([volume.black, volume.white]).all()


def test_a_volume_of_one_intensity_is_black(tmp_path):
    with open_volume(save(tmp_path / "a.nii", np.full((3, 4, 1), 7, np.int16))) as volume:
        assert not volume.read(0).any()


def test_four_axes_are_refused_unless_the_last_is_one(tmp_path):
    path = save(tmp_path / "a.nii", np.zeros((3, 4, 5, 2), np.int16))
    with (
        pytest.raises(DataError, match=r"a\.nii has the axes \(3, 4, 5, 2\).*slicer\[\.\.\., 0\]"),
        open_volume(path),
    ):
        pass
    with open_volume(save(tmp_path / "b.nii", some_volume()[..., None])) as volume:
        np.testing.assert_array_equal(volume.read(2)[..., 0], gray_truth(some_volume(), 2)[2])


def test_colors_are_refused(tmp_path):
    data = np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    with (
        pytest.raises(DataError, match=r"a\.nii stores .* one number a voxel"),
        open_volume(save(tmp_path / "a.nii", data)),
    ):
        pass


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.6])
def test_a_volume_that_is_cut_off_is_named(tmp_path, name, share):
    path = cut_off(save(tmp_path / name, some_volume()), share)
    with pytest.raises(DataError, match=f"{name} cannot be read.*replace it"), open_volume(path):
        pass


def test_what_is_no_volume_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"), open_volume(tmp_path / "a.nii"):
        pass
    (tmp_path / "a.mgz").write_bytes(b"")
    with pytest.raises(DataError, match=r"convert it to .nii"), open_volume(tmp_path / "a.mgz"):
        pass
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"no volume" * 100))
    with pytest.raises(DataError, match="cannot be read"), open_volume(tmp_path / "a.nii.gz"):
        pass


def test_what_does_not_fit_is_refused(tmp_path):
    path = save(tmp_path / "a.nii", some_volume())
    with pytest.raises(ConfigError, match="axis 3"), open_volume(path, axis=3):
        pass
    with open_volume(path) as volume, pytest.raises(ShapeError, match="no slice 9; ask for one of 0-8"):
        volume.read(9)


def test_without_nibabel_the_way_out_is_said():
    script = """
import sys
sys.modules["nibabel"] = None
from pathlib import Path
from atrous.errors import ConfigError
from atrous.data.volumes import open_volume
try:
    with open_volume(Path("a.nii")): pass
except ConfigError as error:
    assert 'pip install "atrous[medical]"' in str(error)
    print("refused")
"""
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "refused\n"
    )
