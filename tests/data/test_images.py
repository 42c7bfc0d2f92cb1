import struct

import numpy as np
import pytest
from PIL import Image

from atrous.data.images import (
    image_files,
    read_color_mask,
    read_image,
    read_index_mask,
    rgb_from_pillow,
    write_image,
    write_label_map,
)
from atrous.data.labels import LabelSet
from atrous.errors import DataError, OutputError


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.fixture
def gray():
    return np.random.default_rng(1).integers(0, 256, (6, 9), dtype=np.uint8)


def test_read_image_returns_the_rgb_pixels_in_writable_memory(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image, rgb)
    assert image.dtype == np.uint8
    assert image.flags.writeable


def test_read_image_repeats_gray_in_three_channels(tmp_path, gray):
    Image.fromarray(gray).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.stack([gray] * 3, axis=2))


def test_read_image_shows_one_bit_images_in_black_and_white(tmp_path, gray):
    Image.fromarray(gray > 127).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[:, :, 0], np.where(gray > 127, 255, 0))


@pytest.mark.parametrize("bands", [2, 4])
def test_read_image_drops_alpha(tmp_path, rgb, gray, bands):
    color = gray[:, :, None] if bands == 2 else rgb
    alpha = np.zeros((6, 9, 1), dtype=np.uint8)  # fully transparent: the colors must still be there
    Image.fromarray(np.concatenate([color, alpha], axis=2)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.broadcast_to(color, (6, 9, 3)))


@pytest.mark.parametrize("transparency", [3, bytes([0, 128, 255, 0])])
def test_read_image_takes_the_colors_of_a_palette_with_transparency(tmp_path, transparency):
    indices = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    image = Image.fromarray(indices)
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    image.save(tmp_path / "a.png", transparency=transparency)
    expected = np.arange(10, 130, 10).reshape(2, 2, 3)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_read_image_scales_16_bit_gray_by_257(tmp_path, suffix, order):
    levels = np.array([[0, 128, 129], [257, 32768, 65535]], dtype=np.uint16)
    path = tmp_path / f"a.{suffix}"
    if suffix == "tif" and order == ">u2":
        _write_big_endian_tiff(path, levels)
    else:
        Image.fromarray(levels).save(path)
    expected = np.rint(levels / 257)
    np.testing.assert_array_equal(read_image(path), np.stack([expected] * 3, axis=2))


def _write_big_endian_tiff(path, levels):
    """A minimal TIFF in Motorola order, which Pillow opens as I;16B."""
    height, width = levels.shape
    entries = [(256, 3, width), (257, 3, height), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    entries += [(277, 3, 1), (278, 3, height), (279, 4, levels.nbytes)]
    data = levels.astype(">u2").tobytes()
    directory = struct.pack(">H", len(entries))
    for tag, kind, value in entries:
        directory += (
            struct.pack(">HHIHH", tag, kind, 1, value, 0)
            if kind == 3
            else struct.pack(">HHII", tag, kind, 1, value)
        )
    path.write_bytes(b"MM\x00\x2a" + struct.pack(">I", 8 + len(data)) + data + directory + b"\0" * 4)
    with Image.open(path) as image:
        assert image.mode == "I;16B"


def test_read_image_converts_cmyk(tmp_path):
    ink = np.zeros((4, 4, 4), dtype=np.uint8)
    ink[:, 2:, 0] = 255  # cyan on the right, no ink on the left
    Image.fromarray(ink, mode="CMYK").save(tmp_path / "a.tif")
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image[0], [[255, 255, 255]] * 2 + [[0, 255, 255]] * 2)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda stored: stored),
        (2, lambda stored: stored[:, ::-1]),
        (3, lambda stored: stored[::-1, ::-1]),
        (4, lambda stored: stored[::-1]),
        (5, lambda stored: stored.transpose(1, 0, 2)),
        (6, lambda stored: np.rot90(stored, -1)),
        (7, lambda stored: stored[::-1, ::-1].transpose(1, 0, 2)),
        (8, np.rot90),
    ],
)
def test_read_image_turns_as_exif_says(tmp_path, rgb, orientation, upright):
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(rgb).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), upright(rgb))


def test_read_image_takes_the_first_frame(tmp_path, gray):
    frames = [Image.fromarray(gray), Image.fromarray(255 - gray)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif")[:, :, 0], gray)


def test_read_image_refuses_floats(tmp_path):
    Image.fromarray(np.zeros((2, 2), dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif stores floats"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("level", [-1, 65536])
def test_read_image_refuses_gray_beyond_16_bits(tmp_path, level):
    Image.fromarray(np.full((2, 2), level, dtype=np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif holds values from"):
        read_image(tmp_path / "a.tif")


def test_rgb_from_pillow_undoes_premultiplied_alpha():
    image = Image.new("RGBA", (1, 1), (200, 100, 50, 255)).convert("RGBa")
    np.testing.assert_array_equal(rgb_from_pillow(image, source="memory"), [[[200, 100, 50]]])


def test_read_index_mask_returns_gray_levels(tmp_path, gray):
    Image.fromarray(gray).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_index_mask(tmp_path / "a.png"), gray)


def test_read_index_mask_returns_palette_indices_not_colors(tmp_path):
    indices = np.array([[0, 1], [2, 255]], dtype=np.uint8)
    image = Image.fromarray(indices)
    image.putpalette([7] * 768)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_index_mask(tmp_path / "a.png"), indices)


def test_read_index_mask_counts_one_bit_as_0_and_1(tmp_path, gray):
    Image.fromarray(gray > 127).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_index_mask(tmp_path / "a.png"), gray > 127)


def test_read_index_mask_takes_16_bits_that_fit_into_8(tmp_path, gray):
    Image.fromarray(gray.astype(np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_index_mask(tmp_path / "a.png"), gray)


def test_read_index_mask_refuses_16_bits_that_do_not(tmp_path):
    Image.fromarray(np.array([[0, 256]], dtype=np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png is a mask with values from 0 to 256"):
        read_index_mask(tmp_path / "a.png")


def test_read_index_mask_refuses_colors(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r'a\.png is a mask with colors \(RGB\).*encoding = "color"'):
        read_index_mask(tmp_path / "a.png")


def test_write_label_map_stores_labels_as_indices_and_class_colors(tmp_path):
    label_set = LabelSet(("sky", "road"), ((1, 2, 3), (4, 5, 6)))
    label_map = np.array([[0, 1, 255], [1, 0, 255]], dtype=np.int64)
    path = tmp_path / "new" / "a.png"
    write_label_map(path, label_map, label_set)
    np.testing.assert_array_equal(read_index_mask(path), label_map)
    np.testing.assert_array_equal(read_color_mask(path)[0], [[1, 2, 3], [4, 5, 6], [0, 0, 0]])
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


@pytest.mark.parametrize("label", [-1, 2, 254, 256])
def test_write_label_map_refuses_what_is_no_class(tmp_path, label):
    with pytest.raises(DataError, match=f"holds {label}, but the classes are 0-1"):
        write_label_map(tmp_path / "a.png", np.array([[0, label]]), LabelSet(("sky", "road")))


def test_write_image_is_read_back(tmp_path, rgb):
    write_image(tmp_path / "a.png", rgb)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), rgb)


def test_what_cannot_be_written_leaves_no_file(tmp_path, rgb):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutputError, match=r"a\.png"):
        write_image(tmp_path / "a.png", rgb)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_image_files_are_sorted_and_visible(tmp_path, rgb):
    for name in ("b.PNG", "a.png", "._a.png"):
        Image.fromarray(rgb).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in image_files(tmp_path)] == ["a.png", "b.PNG"]


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_disk_that_fills_up_leaves_what_was_there(tmp_path, name):
    resource = pytest.importorskip("resource")  # not on Windows
    before = np.zeros((8, 8, 3), np.uint8)
    write_image(tmp_path / name, before)
    content = (tmp_path / name).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="untouched"):
            write_image(tmp_path / name, np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / name).read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == [name]
