"""Files that `atrous.data.images` must refuse by name."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from atrous.data.images import read_image
from atrous.errors import DataError


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL.TiffImagePlugin")  # Pillow warns before it gives up
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "gif", "webp", "ppm"])
def test_a_file_cut_anywhere_is_refused_by_name_or_still_whole(tmp_path, rgb, suffix):
    Image.fromarray(np.tile(rgb, (5, 4, 1))).save(tmp_path / f"whole.{suffix}")
    content = (tmp_path / f"whole.{suffix}").read_bytes()
    whole = read_image(tmp_path / f"whole.{suffix}")
    path = tmp_path / f"cut.{suffix}"
    refused = 0
    for length in range(0, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:length])
        message = _refusal(path, whole)
        if message is not None:
            assert f"cut.{suffix} cannot be read as an image" in message
            assert "\n" not in message
            refused += 1
    assert refused >= 30


def _refusal(path, whole):
    """The message with which a file is refused; None if it is read as a whole."""
    try:
        image = read_image(path)
    except DataError as error:
        return str(error)
    np.testing.assert_array_equal(image, whole)
    return None


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_file_cut_in_half_is_refused(tmp_path, rgb, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.tile(rgb, (5, 4, 1))).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=f"a.{suffix} cannot be read as an image"):
        read_image(path)


def test_a_text_named_png_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(DataError, match=r"a\.png cannot be read as an image \(it is no image"):
        read_image(tmp_path / "a.png")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.png does not exist"):
        read_image(tmp_path / "a.png")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read as an image"):
        read_image(tmp_path)


@pytest.mark.parametrize("side", [10_000, 60_000])  # Pillow warns of the first and refuses the second
def test_a_decompression_bomb_is_refused(tmp_path, side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png has more pixels than Pillow's limit"):
        read_image(tmp_path / "a.png")
