from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat, savemat
from scipy.sparse import csc_matrix

from atrous.data.mat_file import read_struct_field
from data.known_sets import checked, save_sbd_mask


def _read(path, *, variable="GTcls", field="Segmentation"):
    return read_struct_field(path.read_bytes(), variable=variable, field=field)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same labels with and without compression."""
    folder = tmp_path_factory.mktemp("mat")
    for name, options in (("plain", {"do_compression": False}), ("compressed", {})):
        save_sbd_mask(folder / f"{name}.mat", checked(0, 7, 20, size=(31, 47)), **options)
    return folder


@pytest.mark.parametrize("name", ["plain", "compressed"])
def test_it_reads_what_scipy_reads(files, name):
    path = files / f"{name}.mat"
    expected = loadmat(path)["GTcls"][0]["Segmentation"][0]
    found = _read(path)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["i1", "u2", "i2", "u4", "i4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 5), (0, 4)])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_it_reads_numbers_of_every_type_and_small_ones_in_the_tag(tmp_path, dtype, size, is_compressed):
    values = np.arange(np.prod(size)).reshape(size).astype(dtype)
    content = {"first": np.arange(7.0), "GTcls": {"x": "text", "Segmentation": values}}
    savemat(tmp_path / "a.mat", content, do_compression=is_compressed)
    np.testing.assert_array_equal(_read(tmp_path / "a.mat"), values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": 1}, "it has no GTcls"),
        ({"GTcls": 1}, "it holds no struct"),
        ({"GTcls": {"x": 1}}, "its struct has no field Segmentation"),
        ({"GTcls": np.zeros((1, 2), [("Segmentation", "u1")])}, "its struct is damaged, or one of several"),
        ({"GTcls": {"Segmentation": "text"}}, "its field holds no numbers"),
        ({"GTcls": {"Segmentation": csc_matrix(np.eye(3))}}, "its field holds no numbers"),
    ],
)
def test_another_content_is_told(tmp_path, content, message):
    savemat(tmp_path / "a.mat", content)
    with pytest.raises(ValueError, match=message):
        _read(tmp_path / "a.mat")


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"\0" * 200, b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM"]
)
def test_another_format_is_told(content):
    with pytest.raises(ValueError, match=r"no little-endian \.mat file of MATLAB 5 to 7"):
        read_struct_field(content, variable="GTcls", field="Segmentation")


@pytest.mark.parametrize("name", ["plain", "compressed"])
def test_a_file_cut_off_anywhere_is_told(files, name):
    content = (files / f"{name}.mat").read_bytes()
    for length in range(0, len(content), 7):
        with pytest.raises(ValueError, match=r"it is no|it has no|cut off|damaged"):
            read_struct_field(content[:length], variable="GTcls", field="Segmentation")


@given(data=st.data(), name=st.sampled_from(["plain", "compressed"]))
def test_damage_is_told_or_harmless(files, data, name):
    content = bytearray((files / f"{name}.mat").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_struct_field(bytes(content), variable="GTcls", field="Segmentation")
    except ValueError:
        return
    if name == "compressed":  # the checksum leaves no other way
        np.testing.assert_array_equal(found, checked(0, 7, 20, size=(31, 47)))


def test_damage_in_any_byte_is_told_or_harmless(tmp_path):
    savemat(tmp_path / "a.mat", {"GTcls": {"x": 1, "Segmentation": np.arange(10, dtype=np.uint8)}})
    intact = (tmp_path / "a.mat").read_bytes()
    for place in range(120, len(intact)):
        for value in (0, 1, 3, 7, 13, 15, 128, 255):
            content = bytearray(intact)
            content[place] = value
            with suppress(ValueError):
                read_struct_field(bytes(content), variable="GTcls", field="Segmentation")


def test_a_variable_that_unpacks_without_end_is_refused(tmp_path):
    savemat(
        tmp_path / "a.mat", {"GTcls": {"Segmentation": np.zeros((4200, 4200), np.uint8)}}, do_compression=True
    )
    with pytest.raises(ValueError, match="its compressed data are cut off, or over 16777216 bytes"):
        _read(tmp_path / "a.mat")
