import re
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from atrous.data.images import read_image
from atrous.errors import DataError, ShapeError
from atrous.inference.grid import Grid
from atrous.inference.rasters import open_raster
from inference.raster_files import UTM, cut_off, noise, write_geotiff

TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}


def read_whole(path, **options):
    with open_raster(path, **options) as raster:
        return raster.read(0, raster.size[0])


@pytest.fixture(scope="module")
def tiled(tmp_path_factory):
    bands = noise(3, 150, 201)
    return write_geotiff(tmp_path_factory.mktemp("tiled") / "a.tif", bands, **TILED, **UTM), bands


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 149), st.integers(1, 150)), min_size=1, max_size=5))
def test_rows_in_any_order_are_those_of_the_whole_file(tiled, strips):
    path, bands = tiled
    with open_raster(path) as raster:
        assert raster.size == (150, 201)
        for start, count in strips:
            stop = min(start + count, 150)
            np.testing.assert_array_equal(raster.read(start, stop), bands.transpose(1, 2, 0)[start:stop])
            assert raster.valid(start, stop) is None


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "1", "P", "I;16"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_pixels_are_those_of_read_image(tmp_path, mode, suffix):
    image = Image.fromarray(noise(600, 520, 3))
    if mode == "I;16":
        image = Image.fromarray(noise(60, 52, dtype=np.uint16))
    elif mode == "P":
        image = image.quantize(37)
    else:
        image = image.convert(mode)
    path = tmp_path / f"a.{suffix}"
    image.save(path)
    np.testing.assert_array_equal(read_whole(path), read_image(path))


@pytest.mark.parametrize("options", [{"transparency": 3}, {"transparency": bytes([0, 90])}, {"bits": 2}])
def test_palettes_of_png_are_those_of_read_image(tmp_path, options):
    Image.fromarray(noise(60, 52, 3)).quantize(4).save(tmp_path / "a.png", **options)
    np.testing.assert_array_equal(read_whole(tmp_path / "a.png"), read_image(tmp_path / "a.png"))


@pytest.mark.parametrize("bits", [2, 4])
def test_gray_of_few_bits_is_that_of_read_image(tmp_path, bits):
    path = write_geotiff(
        tmp_path / "a.tif", noise(1, 20, 30) >> (8 - bits), nbits=bits, photometric="minisblack"
    )
    np.testing.assert_array_equal(read_whole(path), read_image(path))


def test_16_bit_colors_are_those_of_read_image(tmp_path):
    path = write_geotiff(
        tmp_path / "a.tif", noise(3, 40, 30, dtype=np.uint16), photometric="rgb", interleave="pixel"
    )
    np.testing.assert_array_equal(read_whole(path), read_image(path))


def test_inverted_gray_is_that_of_read_image(tmp_path):
    Image.fromarray(noise(20, 30)).save(tmp_path / "a.tif", tiffinfo={262: 0})
    np.testing.assert_array_equal(read_whole(tmp_path / "a.tif"), read_image(tmp_path / "a.tif"))


def test_jpeg_differs_from_read_image_by_the_decoders_only(tmp_path):
    y, x = np.mgrid[:200, :300]
    smooth = np.stack([x * 255 // 299, y, 255 - y], -1).astype(np.uint8)
    for subsampling, tolerance in ((0, 1), (2, 8)):  # 0: colors at full size, as lightness; 2: at half
        Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95, subsampling=subsampling)
        ours = read_whole(tmp_path / "a.jpg").astype(int)
        assert np.abs(ours - read_image(tmp_path / "a.jpg")).max() <= tolerance
    Image.fromarray(smooth[:, :, 0]).save(tmp_path / "gray.jpg")
    np.testing.assert_array_equal(read_whole(tmp_path / "gray.jpg"), read_image(tmp_path / "gray.jpg"))


def test_one_pixel_is_a_raster(tmp_path):
    path = write_geotiff(tmp_path / "a.tif", np.full((3, 1, 1), 7, np.uint8))
    np.testing.assert_array_equal(read_whole(path), [[[7, 7, 7]]])
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_whole(tmp_path / "a.png"), [[[1, 2, 3]]])


@pytest.mark.parametrize("size", [(3, 60_000), (60_000, 3)])
def test_strips_of_60000_pixels_are_read(tmp_path, size):
    bands = noise(3, *size)
    path = write_geotiff(tmp_path / "a.tif", bands)
    with open_raster(path) as raster:
        np.testing.assert_array_equal(raster.read(1, 3), bands.transpose(1, 2, 0)[1:3])


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_a_turned_image_is_refused(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(noise(20, 30, 3)).save(tmp_path / f"a.{suffix}", exif=exif)
    assert read_image(tmp_path / f"a.{suffix}").shape == (30, 20, 3)  # as that function turns it
    with (
        pytest.raises(DataError, match=r"orientation 6.*store it upright"),
        open_raster(tmp_path / f"a.{suffix}"),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("a.png", lambda path, image: Image.fromarray(image).save(path)),
        ("a.jpg", lambda path, image: Image.fromarray(image).save(path)),
        ("strips.tif", lambda path, image: write_geotiff(path, image.transpose(2, 0, 1), compress="deflate")),
        ("tiles.tif", lambda path, image: write_geotiff(path, image.transpose(2, 0, 1), **TILED)),
    ],
)
def test_a_raster_that_is_cut_off_names_the_row_and_gives_those_before(tmp_path, name, save):
    path = tmp_path / name
    save(path, noise(600, 520, 3))
    whole = read_whole(path)
    cut_off(path)
    with open_raster(path) as raster:
        with pytest.raises(
            DataError, match=rf"{name} cannot be read from row .* cut off or damaged"
        ) as caught:
            raster.read(0, 600)
        row = int(re.findall(r"from row (\d+) of 600", str(caught.value))[0])
        assert 200 < row < 400
        np.testing.assert_array_equal(raster.read(0, row), whole[:row])
        for start, stop in ((row - 1, row + 50), (row, row + 1), (500, 600)):
            with pytest.raises(DataError, match=f"from row {row} of 600"):
                raster.read(start, stop)
    with open_raster(path) as raster, pytest.raises(DataError, match="from row 500 of 600"):
        raster.read(500, 600)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.txt"])
def test_a_file_without_pixels_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"II*\0 or anything else")
    with pytest.raises(DataError, match=rf"{name} cannot be read as a raster .*store it as"):
        read_whole(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no\.tif does not exist"), open_raster(tmp_path / "no.tif"):
        pass


def test_a_kind_that_is_not_read_by_rows_is_refused(tmp_path):
    Image.new("RGB", (5, 5)).save(tmp_path / "a.gif")
    with (
        pytest.raises(DataError, match=r"does not begin as .*as TIFF"),
        open_raster(tmp_path / "a.gif"),
    ):
        pass


def test_rows_that_are_not_there_are_refused(tiled):
    with open_raster(tiled[0]) as raster, pytest.raises(ShapeError, match=r"no rows 140 to 150.*0-149"):
        raster.read(140, 151)


def test_grid_says_what_rasterio_says(tiled, tmp_path):
    with open_raster(tiled[0]) as raster, rasterio.open(tiled[0]) as truth:
        assert raster.grid.crs == truth.crs
        assert raster.grid.transform == truth.transform
        assert raster.grid.is_georeferenced
    Image.fromarray(noise(5, 5)).save(tmp_path / "a.png")
    with open_raster(tmp_path / "a.png") as raster:
        assert not raster.grid.is_georeferenced
    path = write_geotiff(tmp_path / "a.tif", noise(1, 5, 5), transform=UTM["transform"])
    with open_raster(path) as raster:
        assert raster.grid.crs is None
        assert raster.grid.is_georeferenced
    assert not Grid((1, 1)).is_georeferenced


def test_identity_changes_with_the_file_and_the_bands(tmp_path):
    path = write_geotiff(tmp_path / "a.tif", noise(4, 5, 5))
    with open_raster(path) as raster:
        first = raster.identity()
    with open_raster(path, bands=(3, 2, 1)) as raster:
        assert raster.identity() != first
    write_geotiff(path, noise(4, 5, 5, seed=1))
    with open_raster(path) as raster:
        assert raster.identity() != first


def test_without_rasterio_the_way_out_is_said():
    script = """
import sys
sys.modules["rasterio"] = None
from pathlib import Path
from atrous.errors import ConfigError
from atrous.inference.rasters import open_raster
try:
    with open_raster(Path(sys.executable)): pass
except ConfigError as error:
    assert 'pip install "atrous[geo]"' in str(error)
    print("refused")
"""
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "refused\n"
    )
