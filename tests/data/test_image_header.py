import numpy as np
import pytest
from PIL import Image

from atrous.data.image_header import ImageHeader, read_header


def save(path, height=4, width=6):
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.webp"])
def test_a_header_tells_height_and_width(tmp_path, name):
    assert read_header(save(tmp_path / name)) == ImageHeader((4, 6))


@pytest.mark.parametrize(
    ("image", "beside"), [("a.jpg", "a.jgw"), ("a.png", "a.pgw"), ("a.tif", "a.tifw"), ("a.tiff", "a.wld")]
)
def test_a_world_file_places_an_image(tmp_path, image, beside):
    (tmp_path / beside).write_text("1\n0\n0\n-1\n0\n0\n")
    assert read_header(save(tmp_path / image)).is_placed


def test_what_is_no_image_has_no_size(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    for path in (tmp_path / "a.png", tmp_path / "a.tif", tmp_path / "missing.png"):
        assert read_header(path) == ImageHeader()


def test_more_pixels_than_pillow_decodes_are_huge(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", 20, 30)
    for limit in (400, 200):  # a warning, an error
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert read_header(path) == ImageHeader(is_huge=True)


@pytest.mark.parametrize("bigtiff", ["NO", "YES"])
@pytest.mark.parametrize("count", [1, 3, 5])
def test_tags_place_a_tiff_that_pillow_does_not_know(tmp_path, count, bigtiff):
    pytest.importorskip("rasterio")
    from inference.raster_files import UTM, noise, write_geotiff

    bands = noise(count, 4, 6, dtype=np.uint16)
    header = read_header(write_geotiff(tmp_path / "a.tif", bands, bigtiff=bigtiff, **UTM))
    assert header.is_placed
    assert header.size == ((4, 6) if count == 1 else None)  # Pillow has no colors of 16 bits
    assert not read_header(write_geotiff(tmp_path / "b.tif", bands, bigtiff=bigtiff)).is_placed
