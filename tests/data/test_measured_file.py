import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from atrous.data.flo import write_flo
from atrous.data.measured_file import read_values, write_depth
from atrous.data.quantity import DEPTH, FLOW
from atrous.errors import DataError

DEPTHS = np.array([[1.5, 2.25, 0.0], [np.nan, 3.0, 7.0]], np.float32)
EXPECTED = np.where(np.nan_to_num(DEPTHS) > 0, DEPTHS, np.nan)[None]


def write_16_bit_rgb(path, stored):
    """A PNG of three 16-bit colors (h, w, 3), by the definition of the format."""
    height, width, _ = stored.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in stored)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


@pytest.mark.parametrize("kind", ["npy", "tif", "png"])
def test_depth_is_read_from_every_kind_of_file(tmp_path, kind):
    path, scale = tmp_path / f"a.{kind}", None
    if kind == "npy":
        np.save(path, DEPTHS)
    elif kind == "tif":
        Image.fromarray(DEPTHS).save(path)
    else:
        scale = 0.25
        Image.fromarray((4 * np.nan_to_num(DEPTHS)).astype(np.uint16)).save(path)
    np.testing.assert_array_equal(read_values(path, DEPTH, scale=scale), EXPECTED)


def test_the_scale_is_a_factor_of_floats_too(tmp_path):
    np.save(tmp_path / "a.npy", 1000 * DEPTHS)
    np.testing.assert_allclose(read_values(tmp_path / "a.npy", DEPTH, scale=0.001), EXPECTED, rtol=1e-6)


def test_written_depth_comes_back_with_its_unit(tmp_path):
    write_depth(tmp_path / "a.tif", EXPECTED, unit="km")
    np.testing.assert_array_equal(read_values(tmp_path / "a.tif", DEPTH, scale=None), EXPECTED)
    with Image.open(tmp_path / "a.tif") as image:
        assert (image.mode, image.tag_v2[270]) == ("F", "depth in km")  # type: ignore[attr-defined]


@pytest.mark.parametrize("channels_last", [True, False])
def test_flow_is_read_from_npy_in_either_order(tmp_path, channels_last):
    flow = np.random.default_rng(0).normal(size=(2, 4, 5)).astype(np.float32)
    np.save(tmp_path / "a.npy", flow.transpose(1, 2, 0) if channels_last else flow)
    np.testing.assert_array_equal(read_values(tmp_path / "a.npy", FLOW, scale=None), flow)


def test_flow_in_kitti_s_png_is_exact_in_all_16_bits(tmp_path):
    stored = np.random.default_rng(1).integers(0, 2**16, (5, 7, 3))
    stored[..., 2] = np.arange(35).reshape(5, 7) % 3 > 0
    write_16_bit_rgb(tmp_path / "a.png", stored)
    flow = (stored[..., :2].transpose(2, 0, 1) - 2.0**15) / 64
    expected = np.where(stored[..., 2] > 0, flow, np.nan)
    np.testing.assert_array_equal(read_values(tmp_path / "a.png", FLOW, scale=None), expected)


def test_flow_in_flo_is_read(tmp_path):
    flow = np.ones((2, 2, 2), np.float32)
    write_flo(tmp_path / "a.flo", flow)
    np.testing.assert_array_equal(read_values(tmp_path / "a.flo", FLOW, scale=None), flow)


@pytest.mark.parametrize(
    ("name", "content", "quantity", "message"),
    [
        (
            "a.png",
            np.ones((2, 2), np.uint16),
            DEPTH,
            r"holds integers \(uint16\), and nothing says how much 1",
        ),
        ("a.png", np.ones((2, 2), np.uint8), DEPTH, r"is an image of L with 8 bits or colors"),
        ("a.png", np.ones((2, 2, 3), np.uint8), DEPTH, r"is an image of RGB with 8 bits or colors"),
        ("a.png", np.ones((2, 2, 3), np.uint8), FLOW, r"is no PNG of three 16-bit colors, as KITTI"),
        (
            "a.npy",
            np.ones((2, 2, 3), np.float32),
            DEPTH,
            r"has the shape \(2, 2, 3\), and \(h, w\) is wanted",
        ),
        (
            "a.npy",
            np.ones((4, 4), np.float32),
            FLOW,
            r"has the shape \(1, 4, 4\), and \(2, h, w\), u and v, is wanted",
        ),
        ("a.npy", np.array(["x"]), DEPTH, r"holds no numbers"),
        ("a.npy", b"no array", DEPTH, r"cannot be read as an array"),
        ("a.tif", b"no image", DEPTH, r"cannot be read as an image"),
        ("a.png", b"no image", FLOW, r"cannot be read as an image"),
        ("a.flo", b"no flow", FLOW, r"does not begin"),
    ],
)
def test_read_values_refuses(tmp_path, name, content, quantity, message):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".npy":
        np.save(path, content)
    else:
        Image.fromarray(content).save(path)
    with pytest.raises(DataError, match=message):
        read_values(path, quantity, scale=None)
