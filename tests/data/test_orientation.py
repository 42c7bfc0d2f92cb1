import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from atrous.data.orientation import png_orientation, tiff_orientation

PICTURE = Image.fromarray(np.zeros((5, 7, 3), np.uint8))


def exif(orientation):
    tags = Image.Exif()
    tags[0x112] = orientation
    return tags


def in_exif_chunk(path, orientation):
    PICTURE.save(path, exif=exif(orientation))


def after_the_pixels(path, orientation):
    PICTURE.save(path)
    data = exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(data)) + b"eXIf" + data + struct.pack(">I", zlib.crc32(b"eXIf" + data))
    png = path.read_bytes()
    path.write_bytes(png[:-12] + chunk + png[-12:])  # before IEND


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("save", [in_exif_chunk, after_the_pixels])
def test_png_orientation_is_that_of_pillow(tmp_path, save, orientation):
    save(tmp_path / "a.png", orientation)
    with Image.open(tmp_path / "a.png") as image:
        assert image.getexif().get(0x112) == orientation
    assert png_orientation(tmp_path / "a.png") == orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("big_tiff", [False, True])
def test_tiff_orientation_is_that_which_was_written(tmp_path, orientation, big_tiff):
    PICTURE.save(tmp_path / "a.tif", tiffinfo={274: orientation}, big_tiff=big_tiff)
    assert tiff_orientation(tmp_path / "a.tif") == orientation


def test_tiff_orientation_reads_either_order_of_bytes(tmp_path):
    entry = struct.pack(">HHIHH", 274, 3, 1, 6, 0)  # tag, type short, one, its value
    (tmp_path / "a.tif").write_bytes(b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4))
    assert tiff_orientation(tmp_path / "a.tif") == 6


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_files_that_say_nothing_or_are_cut_off_are_upright(tmp_path, share):
    for suffix, orientation in (("png", png_orientation), ("tif", tiff_orientation)):
        path = tmp_path / f"a.{suffix}"
        PICTURE.save(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])
        assert orientation(path) == 1
