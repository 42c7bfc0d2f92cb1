import nibabel
import numpy as np
import pytest

from atrous.data.label_volume import write_label_volume
from atrous.data.volumes import open_volume
from atrous.errors import ConfigError, ShapeError
from data.nifti import load, save, some_volume


@pytest.mark.parametrize("name", ["out.nii", "out.nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_label_volume_lies_where_its_volume_lies(tmp_path, name, kind, axis):
    labels = np.random.default_rng(1).integers(0, 4, (14, 11, 9))
    path = save(tmp_path / "in.nii.gz", some_volume(), scaling=(2, 1), kind=kind)
    with open_volume(path, axis=axis) as volume:
        write_label_volume(tmp_path / name, volume, iter(np.moveaxis(labels, axis, 0)))
    given, made = load(path), load(tmp_path / name)
    assert type(made) is kind
    assert made.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(made.dataobj), labels)
    np.testing.assert_array_equal(made.affine, given.affine)
    assert made.header.get_xyzt_units() == ("mm", "sec")
    for field in ("qform_code", "sform_code", "quatern_b", "qoffset_x", "srow_x", "pixdim"):
        np.testing.assert_array_equal(made.header[field], given.header[field])


def test_a_real_volume_goes_there_and_back(shared_data, tmp_path):
    path = min((shared_data / "hippocampus" / "labels").glob("*.nii.gz"))
    truth = load(path)
    labels = np.asarray(truth.dataobj)
    with open_volume(shared_data / "hippocampus" / "images" / path.name) as volume:
        assert (*volume.size, volume.num_slices) == labels.shape
        brightness = [volume.read(index).mean() for index in range(volume.num_slices)]
        assert 20 < np.mean(brightness) < 200
        write_label_volume(tmp_path / "out.nii.gz", volume, (np.moveaxis(labels, 2, 0)).astype(np.uint8))
    made = load(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(made.get_fdata(), truth.get_fdata())
    np.testing.assert_array_equal(made.affine, truth.affine)


def test_an_axis_of_length_one_does_not_count(tmp_path):
    with open_volume(save(tmp_path / "b.nii", some_volume()[..., None])) as volume:
        write_label_volume(tmp_path / "out.nii", volume, np.zeros((9, 14, 11), np.uint8))


def test_labels_that_do_not_fit_are_refused(tmp_path):
    with open_volume(save(tmp_path / "a.nii", some_volume())) as volume:
        for count, said in ((8, "8 label maps given for the 9 slices"), (10, "label map 9 of")):
            with pytest.raises(ShapeError, match=said):
                write_label_volume(tmp_path / "out.nii", volume, [np.zeros((14, 11), np.uint8)] * count)
        with pytest.raises(ConfigError, match="does not end in"):
            write_label_volume(tmp_path / "out.png", volume, [])
    assert not (tmp_path / "out.nii").exists()
