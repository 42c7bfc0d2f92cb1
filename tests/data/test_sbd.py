import numpy as np
import pytest
from scipy.io import savemat

from atrous.data.sbd import SbdMask, find_sbd
from atrous.errors import DataError
from data.known_sets import checked, save_sbd_mask, write_sbd


def test_labels_are_the_segmentation(tmp_path):
    labels = checked(0, 5, 20, 255)
    save_sbd_mask(tmp_path / "a.mat", labels)
    found = SbdMask(tmp_path / "a.mat").read()
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (checked(0, 21, 3), r"a\.mat holds the label 21, but the classes are 0-20"),
        (checked(0, 3).astype(np.int16) - 2, r"holds the label -2"),
        (checked(0, 3) + 0.5, r"holds float64 of shape \(6, 8\), labels are whole numbers"),
        (checked(0, 3)[None].repeat(2, axis=0), r"holds uint8 of shape \(2, 6, 8\)"),
    ],
)
def test_what_is_no_label_map_is_refused(tmp_path, labels, message):
    savemat(tmp_path / "a.mat", {"GTcls": {"Segmentation": labels}})
    with pytest.raises(DataError, match=message):
        SbdMask(tmp_path / "a.mat").read()


def test_a_damaged_file_is_named(tmp_path):
    save_sbd_mask(tmp_path / "a.mat", checked(1))
    path = tmp_path / "a.mat"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        DataError, match=r"a\.mat cannot be read as labels of SBD \(.*cut off.*\); unpack SBD"
    ):
        SbdMask(path).read()
    path.unlink()
    with pytest.raises(DataError, match="cannot be read as labels of SBD"):
        SbdMask(path).read()


@pytest.mark.parametrize(
    "place",
    [
        "benchmark_RELEASE/dataset",
        "SBD",
        "SBD/dataset",
        "sbd",
        "sbd/dataset",
        "SBD/benchmark_RELEASE/dataset",
    ],
)
def test_find_sbd_knows_its_places(tmp_path, place):
    assert find_sbd(tmp_path) is None
    write_sbd(tmp_path / place)
    found = find_sbd(tmp_path)
    assert found is not None
    assert found.samefile(tmp_path / place)
