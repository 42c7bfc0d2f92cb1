"""Arrays as numpy writes them, and those that claim more than they have."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from atrous.data.array_file import BROKEN, read_npy, read_npz

SOME = arrays.arrays(
    st.sampled_from(["<f4", ">f8", "<f2", "u1", "<i8", "?"]), arrays.array_shapes(min_dims=0)
)


@given(values=SOME, in_fortran_order=st.booleans())
def test_arrays_come_back_as_numpy_writes_them(values, in_fortran_order, tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    values = np.asfortranarray(values) if in_fortran_order else values
    np.save(folder / "a.npy", values)
    np.savez_compressed(folder / "a.npz", logits=values, other=3)
    found, names = read_npz(folder / "a.npz", ("logits", "nothing"))
    assert names == ["logits", "other"]
    for back in (read_npy(folder / "a.npy"), found["logits"]):
        assert back.dtype == values.dtype
        np.testing.assert_array_equal(back, values)


@pytest.mark.parametrize("shape", [(5,), (2**62, 2**62), (10**9, 10**9)])
def test_more_values_than_bytes_are_refused(tmp_path, shape):
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f4", "fortran_order": False, "shape": shape})
    whole = content.getvalue() + bytes(16)  # four values
    (tmp_path / "a.npy").write_bytes(whole)
    with pytest.raises(ValueError, match="it claims float32 of shape"):
        read_npy(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("logits.npy", whole)
    with pytest.raises(ValueError, match="it claims float32 of shape"):
        read_npz(tmp_path / "a.npz", ("logits",))


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_numpy_does_not_write_are_refused(tmp_path, kind):
    np.save(tmp_path / "a.npy", np.zeros(9))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", kind) as archive:
        archive.write(tmp_path / "a.npy", "logits.npy")
    with pytest.raises(ValueError, match="packed as numpy does not pack"):
        read_npz(tmp_path / "a.npz", ("logits",))


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", b"\x93NUMPY\x09\x00", b"no array at all"])
def test_other_bytes_raise_what_is_said(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    for read in (read_npy, lambda path: read_npz(path, ("logits",))):
        with pytest.raises(BROKEN):
            read(tmp_path / "a")
