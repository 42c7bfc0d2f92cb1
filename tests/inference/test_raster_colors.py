"""Bands of a raster as the colors of an image: which ones, what is black and white, what is no data."""

import numpy as np
import pytest
from PIL import Image
from rasterio.enums import ColorInterp

from atrous.data.images import read_image
from atrous.errors import ConfigError, DataError
from atrous.inference.rasters import open_raster
from inference.raster_files import noise, write_geotiff


def read_whole(path, **options):
    with open_raster(path, **options) as raster:
        return raster.read(0, raster.size[0])


def test_given_bands_are_taken_in_the_order_given(tmp_path):
    bands = noise(8, 30, 40)
    path = write_geotiff(tmp_path / "a.tif", bands)
    np.testing.assert_array_equal(read_whole(path, bands=(5, 3, 2)), bands[[4, 2, 1]].transpose(1, 2, 0))
    np.testing.assert_array_equal(read_whole(path, bands=(7,)), np.stack([bands[6]] * 3, -1))


def test_marked_colors_are_taken_by_their_marks(tmp_path):
    bands = noise(3, 30, 40)
    colors = (ColorInterp.blue, ColorInterp.green, ColorInterp.red)
    path = write_geotiff(tmp_path / "a.tif", bands, colors=colors, photometric="minisblack")
    np.testing.assert_array_equal(read_whole(path), bands[::-1].transpose(1, 2, 0))


@pytest.mark.parametrize(("count", "said"), [(2, "2 bands"), (5, "5 bands"), (8, "8 bands")])
def test_open_raster_refuses_more_bands_than_the_network_takes(tmp_path, count, said):
    path = write_geotiff(tmp_path / "a.tif", noise(count, 5, 5), photometric="minisblack")
    with pytest.raises(DataError, match=rf"{said} beside alpha.*bands=\(1,"), open_raster(path):
        pass


@pytest.mark.parametrize(
    ("bands", "error", "said"),
    [((1, 2), ConfigError, "2 bands asked for"), ((1, 2, 9), DataError, "no band 9")],
)
def test_open_raster_refuses_bands_that_are_not_there(tmp_path, bands, error, said):
    path = write_geotiff(tmp_path / "a.tif", noise(4, 5, 5))
    with pytest.raises(error, match=said), open_raster(path, bands=bands):
        pass


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32])
def test_a_span_says_what_is_black_and_what_white(tmp_path, dtype):
    values = np.array([[[-50, 100, 600], [1100, 3000, 350]]])
    values = (np.maximum(values, 0) if dtype == np.uint16 else values).astype(dtype)
    with open_raster(write_geotiff(tmp_path / "a.tif", values), span=(100, 1100)) as raster:
        gray = raster.read(0, 2)[:, :, 0]
        assert raster.brightest() is None
    assert gray.tolist() == [[0, 0, 128], [255, 255, 64]]


def test_a_type_that_is_not_filled_has_its_own_white(tmp_path):
    values = np.array([[[0, 2048, 4095]]], np.uint16)
    path = write_geotiff(tmp_path / "a.tif", values, nbits=12)
    with open_raster(path) as raster:
        assert raster.read(0, 1)[0, :, 0].tolist() == [0, 128, 255]


def test_the_brightest_value_of_16_bits_is_known_before_all_are_read(tmp_path):
    values = np.zeros((3, 500, 20), np.uint16)
    values[1, 250, 3], values[2, 150] = 9000, 60000
    with open_raster(write_geotiff(tmp_path / "a.tif", values)) as raster:
        assert raster.brightest() == 9000  # row 150 was not looked at
    with open_raster(write_geotiff(tmp_path / "b.tif", noise(3, 5, 5))) as raster:
        assert raster.brightest() is None


def test_alpha_is_a_mask(tmp_path):
    bands = noise(4, 30, 40)
    bands[3, 10:20] = 0
    path = write_geotiff(tmp_path / "a.tif", bands)  # four bands of 8 bits: GDAL takes the last for alpha
    with open_raster(path) as raster:
        np.testing.assert_array_equal(raster.read(5, 25), bands[:3, 5:25].transpose(1, 2, 0))
        np.testing.assert_array_equal(raster.valid(5, 25), bands[3, 5:25] > 0)


def test_a_pixel_is_invalid_where_all_bands_hold_nodata(tmp_path):
    bands = noise(3, 30, 40) | 1
    bands[:, 4, 5] = 0
    bands[0, 9, 9] = 0
    with open_raster(write_geotiff(tmp_path / "a.tif", bands, nodata=0)) as raster:
        valid = raster.valid(0, 30)
        assert valid is not None
        np.testing.assert_array_equal(np.argwhere(~valid), [[4, 5]])


def test_nodata_beyond_16_bits_is_no_gray_level(tmp_path):
    heights = np.arange(600, dtype=np.int32).reshape(1, 20, 30) * 100
    heights[0, 3, 4] = -9999
    with open_raster(write_geotiff(tmp_path / "a.tif", heights, nodata=-9999)) as raster:
        gray = raster.read(0, 20)[:, :, 0]
        np.testing.assert_array_equal(raster.valid(0, 20), heights[0] >= 0)
    heights[0, 3, 4] = 0
    np.testing.assert_array_equal(gray, (heights[0] + 128) // 257)


def test_values_beyond_16_bits_are_refused(tmp_path):
    path = write_geotiff(tmp_path / "a.tif", np.full((1, 5, 5), -3, np.int16))
    with pytest.raises(DataError, match=r"holds values from -3 to -3.*scale them"):
        read_whole(path)


def test_floats_want_a_span(tmp_path):
    path = write_geotiff(tmp_path / "a.tif", np.zeros((1, 5, 5), np.float32))
    with pytest.raises(DataError, match=r"stores floats.*--span 0 1"), open_raster(path):
        pass


def test_inks_are_those_of_read_image_but_for_rounding(tmp_path):
    for name in ("a.tif", "a.jpg"):
        Image.fromarray(noise(20, 30, 4), "CMYK").save(tmp_path / name)
        ours = read_whole(tmp_path / name).astype(int)
        assert np.abs(ours - read_image(tmp_path / name)).max() <= 1
