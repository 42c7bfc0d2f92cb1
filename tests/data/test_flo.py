import struct
from pathlib import Path

import numpy as np
import pytest

from atrous.data.flo import read_flo, write_flo
from atrous.errors import DataError


def test_flow_comes_back_with_what_is_unknown(tmp_path):
    flow = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
    flow[:, 1, 2] = np.nan
    write_flo(tmp_path / "a.flo", flow)
    np.testing.assert_array_equal(read_flo(tmp_path / "a.flo"), flow)


def test_the_bytes_are_middlebury_s(tmp_path):
    """Tag, width, height, then u and v of each pixel by rows, little-endian."""
    flow = np.array([[[1, 2, 3]], [[4, 5, 6]]], np.float32)
    write_flo(tmp_path / "a.flo", flow)
    expected = b"PIEH" + struct.pack("<ii6f", 3, 1, 1, 4, 2, 5, 3, 6)
    assert (tmp_path / "a.flo").read_bytes() == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PIEH", r"does not begin as Middlebury's .flo does"),
        (b"RIFF" + bytes(20), r"does not begin as Middlebury's .flo does"),
        (b"PIEH" + struct.pack("<ii", 2, 2) + bytes(31), r"says 2 x 2 px, which takes 44 bytes, and has 43"),
        (b"PIEH" + struct.pack("<ii", -1, 2), r"says -1 x 2 px"),
    ],
)
def test_read_flo_refuses(tmp_path, content, message):
    (tmp_path / "a.flo").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_flo(tmp_path / "a.flo")


def test_read_flo_refuses_what_is_not_there():
    with pytest.raises(DataError, match=r"cannot be read"):
        read_flo(Path("no.flo"))
