import subprocess
import sys
import warnings

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC

from atrous.data.images import write_label_map
from atrous.data.labels import LabelSet
from atrous.errors import ConfigError, OutputError
from atrous.inference.grid import Grid
from atrous.inference.label_files import finish_label_map, label_map_suffix
from atrous.inference.label_strips import open_label_strips
from atrous.inference.rasters import open_raster
from inference.raster_files import UTM, noise, write_geotiff

CLASSES = LabelSet(("ground", "wall", "sky"), ((90, 60, 30), (200, 40, 40), (40, 80, 220)))


def finished(path, labels, grid, *, heights=(7, 600)):
    strips = open_label_strips(path, labels.shape, {})
    for height in heights:
        while strips.next_row < labels.shape[0]:
            strips.append(labels[strips.next_row :][:height])
    finish_label_map(strips, grid, CLASSES)
    return path


def some_labels(height, width):
    labels = noise(height, width) % 3
    labels[: height // 3, : width // 3] = 255
    return labels


def grid_and_labels(path):
    with open_raster(path) as raster:
        return raster.grid, some_labels(*raster.size)


@pytest.mark.parametrize("size", [(1, 1), (700, 533), (3, 60_000), (40_000, 2)])
def test_a_png_is_the_one_that_write_label_map_writes(tmp_path, size):
    labels = some_labels(*size)
    finished(tmp_path / "a.png", labels, Grid(size), heights=(513,))
    write_label_map(tmp_path / "truth.png", labels, CLASSES)
    with Image.open(tmp_path / "a.png") as ours, Image.open(tmp_path / "truth.png") as truth:
        assert ours.mode == truth.mode == "P"
        assert ours.getpalette() == truth.getpalette()
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(truth))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "truth.png"]


@pytest.mark.parametrize("size", [(1, 1), (700, 1033), (2, 60_000)])
def test_a_geotiff_has_the_grid_of_its_raster(tmp_path, size):
    path = write_geotiff(tmp_path / "in.tif", noise(3, *size), nodata=0, **UTM)
    grid, labels = grid_and_labels(path)
    assert label_map_suffix(grid) == ".tif"
    finished(tmp_path / "out.tif", labels, grid)
    with rasterio.open(path) as given, rasterio.open(tmp_path / "out.tif") as made:
        assert (made.crs, made.transform, made.shape, made.bounds) == (
            given.crs, given.transform, given.shape, given.bounds
        )  # fmt: skip
        assert (made.count, made.dtypes, made.nodata) == (1, ("uint8",), 255)
        assert made.profile["compress"] == "deflate"
        assert made.profile["tiled"]
        assert made.block_shapes == [(512, 512)]
        assert [made.colormap(1)[label][:3] for label in range(3)] == list(CLASSES.palette)
        assert {made.tags(1)[f"class_{label}"] for label in range(3)} == {*CLASSES.names}
        np.testing.assert_array_equal(made.read(1), labels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.tif", "out.tif"]


def test_a_transform_without_crs_stays_so(tmp_path):
    path = write_geotiff(tmp_path / "in.tif", noise(1, 30, 40), transform=UTM["transform"])
    grid, labels = grid_and_labels(path)
    with rasterio.open(finished(tmp_path / "out.tif", labels, grid)) as made:
        assert made.crs is None
        assert made.transform == UTM["transform"]


def test_a_tiff_that_lies_nowhere_can_be_written_without_a_warning(tmp_path):
    path = write_geotiff(tmp_path / "in.tif", noise(1, 30, 40))
    grid, labels = grid_and_labels(path)
    assert label_map_suffix(grid) == ".png"
    finished(tmp_path / "out.tif", labels, grid)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "out.tif") as made:
            np.testing.assert_array_equal(made.read(1), labels)


def test_pixels_that_are_points_stay_points(tmp_path):
    path = write_geotiff(tmp_path / "in.tif", noise(1, 30, 40), **UTM)
    with rasterio.open(path, "r+") as target:
        target.update_tags(AREA_OR_POINT="Point")
    grid, labels = grid_and_labels(path)
    with rasterio.open(finished(tmp_path / "out.tif", labels, grid)) as made, rasterio.open(path) as given:
        assert made.tags()["AREA_OR_POINT"] == "Point"
        assert made.transform == given.transform


def test_control_points_and_camera_are_carried(tmp_path):
    path = write_geotiff(tmp_path / "in.tif", noise(1, 30, 40))
    points = [
        GroundControlPoint(row, col, col / 10, row / 10) for row, col in ((0, 0), (0, 40), (30, 0), (30, 40))
    ]
    numbers = {
        f"{name}_{kind}": 1.5
        for name in ("height", "lat", "line", "long", "samp")
        for kind in ("off", "scale")
    }
    terms = {f"{name}_{kind}_coeff": [2.5] * 20 for name in ("line", "samp") for kind in ("num", "den")}
    camera = RPC(**numbers, **terms)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "r+") as target:
            target.gcps = (points, rasterio.CRS.from_epsg(4326))
            target.rpcs = camera
    grid, labels = grid_and_labels(path)
    assert grid.is_georeferenced
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with (
            rasterio.open(finished(tmp_path / "out.tif", labels, grid)) as made,
            rasterio.open(path) as given,
        ):
            assert [point.asdict() for point in made.gcps[0]] == [point.asdict() for point in given.gcps[0]]
            assert made.gcps[1] == given.gcps[1]
            assert made.rpcs.to_dict() == given.rpcs.to_dict()


def test_missing_rows_are_named(tmp_path):
    strips = open_label_strips(tmp_path / "a.png", (10, 10), {})
    strips.append(np.zeros((4, 10), np.uint8))
    with pytest.raises(OutputError, match=r"rows 4 to 9 of .*a.png are missing"):
        finish_label_map(strips, Grid((10, 10)), CLASSES)


def test_an_ending_of_no_label_map_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.png, \.tif"):
        finished(tmp_path / "a.jpg", np.zeros((4, 4), np.uint8), Grid((4, 4)))


LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from atrous.data.labels import LabelSet
from atrous.inference.grid import Grid
from atrous.inference.label_files import finish_label_map
from atrous.inference.label_strips import open_label_strips
path, limit = Path(sys.argv[1]), int(sys.argv[2])
labels = np.random.default_rng(0).integers(0, 3, (700, 700), dtype=np.uint8)
strips = open_label_strips(path, labels.shape, {})
while strips.next_row < 700:
    strips.append(labels[strips.next_row:][:100])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
finish_label_map(strips, Grid(labels.shape), LabelSet(("a", "b", "c")))
"""


def finish_with_room(path, limit):
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(path), str(limit)], capture_output=True, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_full_disk_leaves_the_strips_and_nothing_under_the_name(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    said = finish_with_room(path, 60_000).stderr.splitlines()[-1]
    assert "OutputError: cannot write" in said
    assert "all its rows are kept in" in said
    assert not path.exists()
    assert finish_with_room(path, 10_000_000).returncode == 0  # the strips, if any were lost, are made anew
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.slow
def test_a_disk_that_is_full_at_the_last_byte_is_noticed(tmp_path):
    path = tmp_path / "a.tif"
    assert finish_with_room(path, 10_000_000).returncode == 0
    size = path.stat().st_size
    path.unlink()
    for missing in (1, 100, 3000, 10_000, 30_000):  # GDAL says nothing of what it cannot write when it closes
        assert finish_with_room(path, size - missing).returncode != 0
        assert not path.exists()
