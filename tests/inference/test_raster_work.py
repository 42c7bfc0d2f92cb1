"""Rasters become label maps on the same grid, by bands as at once, and nothing that is done is lost."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from atrous.data.labels import IGNORE
from atrous.inference import bands as bands_module
from atrous.inference import predictor as predictor_module
from atrous.inference.image_work import ImageWork
from atrous.inference.label_files import stored_note
from atrous.inference.pipeline import predict_works
from atrous.inference.predictor import Predictor
from atrous.inference.raster_work import RasterWork
from atrous.inference.views import Views
from atrous.inference.work import Outcome, Part
from atrous.models.catalog import build_network
from inference.networks import SeesAll
from inference.raster_files import UTM, cut_off, noise, write_geotiff

SIZE = (130, 70)


@pytest.fixture(scope="module")
def predictor():
    return Predictor(build_network("compact", num_classes=3), device="cpu")


@pytest.fixture
def by_bands(monkeypatch):
    """Everything is large, and bands are low."""
    monkeypatch.setattr(bands_module, "WHOLE_PIXELS", 1)
    monkeypatch.setattr(predictor_module, "WHOLE_PIXELS", 1)
    monkeypatch.setattr(bands_module, "MEMORY", 1)


def work_on(path: Path, *, bands=None, span=None, overwrite=False, note="{}", **more) -> RasterWork:
    image = ImageWork(path, path.with_name("labels.tif"), note=note, **more)
    return RasterWork(image, bands, span, overwrite)


def do(work: RasterWork, predictor: Predictor) -> tuple[list[Part], str]:
    """The parts that were told, and why it failed; empty where it did not."""
    *parts, outcome = predict_works([work], predictor)
    assert isinstance(outcome, Outcome)
    return [part for part in parts if isinstance(part, Part)], outcome.error


def begin(work: RasterWork, predictor: Predictor, *, count: int = 1) -> Part:
    """Leave a work behind some parts; the last of them."""
    running = predict_works([work], predictor)
    part = [next(running) for _ in range(count)][-1]
    running.close()
    assert isinstance(part, Part)
    return part


def labels_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as stored:
        return stored.read(1)


def at_once(predictor: Predictor, pixels: np.ndarray) -> np.ndarray:
    """Labels of bands (3, h, w)."""
    return predictor(np.ascontiguousarray(pixels.transpose(1, 2, 0))).label_map


def test_a_raster_has_the_labels_of_the_image_on_its_own_grid(tmp_path, predictor):
    pixels = noise(3, *SIZE)
    path = write_geotiff(tmp_path / "a.tif", pixels, **UTM)
    assert do(work_on(path, note='{"how": 1}'), predictor) == ([], "")
    assert np.array_equal(labels_of(tmp_path / "labels.tif"), at_once(predictor, pixels))
    with rasterio.open(tmp_path / "labels.tif") as stored:
        assert (stored.crs, stored.transform) == (rasterio.CRS.from_string(UTM["crs"]), UTM["transform"])
    assert stored_note(tmp_path / "labels.tif") == '{"how": 1}'
    assert {each.name for each in tmp_path.iterdir()} == {"a.tif", "labels.tif"}


@pytest.mark.slow
@pytest.mark.usefixtures("by_bands")
def test_bands_give_the_same_labels_and_tell_how_far_they_are(tmp_path, predictor):
    pixels = noise(3, *SIZE)
    path = write_geotiff(tmp_path / "a.tif", pixels, **UTM)
    parts, error = do(work_on(path, overlay=tmp_path / "a.jpg"), predictor)
    assert error == ""
    assert len(parts) > 2
    assert parts[-1] == Part(path, SIZE[0], SIZE[0], is_kept=True)
    assert [part.done for part in parts] == sorted(part.done for part in parts)
    assert np.mean(labels_of(tmp_path / "labels.tif") == at_once(predictor, pixels)) > 0.999  # float rounding
    with Image.open(tmp_path / "a.jpg") as overlay:
        assert overlay.size == SIZE[::-1]


@pytest.mark.usefixtures("by_bands")
def test_pixels_without_data_are_ignored(tmp_path, predictor):
    pixels = noise(3, *SIZE) // 2 + 1
    pixels[:, 20:40, 10:30] = 0
    path = write_geotiff(tmp_path / "a.tif", pixels, nodata=0, **UTM)
    do(work_on(path), predictor)
    labels = labels_of(tmp_path / "labels.tif")
    assert (labels[20:40, 10:30] == IGNORE).all()
    assert (labels != IGNORE).sum() == SIZE[0] * SIZE[1] - 400


@pytest.mark.slow
@pytest.mark.usefixtures("by_bands")
def test_a_run_that_is_left_goes_on_behind_its_last_strip(tmp_path, predictor):
    pixels = noise(3, *SIZE)
    path = write_geotiff(tmp_path / "a.tif", pixels, **UTM)
    done = begin(work_on(path), predictor, count=3)
    assert not (tmp_path / "labels.tif").exists()
    parts, error = do(work_on(path), predictor)
    assert error == ""
    assert parts[0].done > done.done
    assert np.mean(labels_of(tmp_path / "labels.tif") == at_once(predictor, pixels)) > 0.999


@pytest.mark.slow
@pytest.mark.usefixtures("by_bands")
def test_strips_of_another_job_stay_unless_told(tmp_path, predictor):
    path = write_geotiff(tmp_path / "a.tif", noise(3, *SIZE), **UTM)
    begin(work_on(path, note='{"checkpoint": "one"}'), predictor)
    other = work_on(path, note='{"checkpoint": "two"}')
    assert "checkpoint differ" in do(other, predictor)[1]
    overwriting = work_on(path, note='{"checkpoint": "two"}', overwrite=True)
    assert do(overwriting, predictor)[1] == ""


@pytest.mark.slow
@pytest.mark.usefixtures("by_bands")
def test_a_raster_that_fails_leaves_nothing_in_the_way(tmp_path, predictor):
    path = cut_off(write_geotiff(tmp_path / "a.tif", noise(3, *SIZE), **UTM), share=0.3)
    assert "replace the file" in do(work_on(path), predictor)[1]
    assert {each.name for each in tmp_path.iterdir()} == {"a.tif"}
    write_geotiff(path, noise(3, *SIZE), **UTM)  # as told
    begin(work_on(path), predictor)
    write_geotiff(path, noise(3, *SIZE, seed=1), **UTM)  # another image of the same name
    assert do(work_on(path), predictor)[1] == ""
    assert np.mean(labels_of(tmp_path / "labels.tif") == at_once(predictor, noise(3, *SIZE, seed=1))) > 0.999


def test_16_bits_that_are_not_filled_want_a_span(tmp_path, predictor):
    pixels = noise(3, *SIZE)
    path = write_geotiff(tmp_path / "a.tif", pixels.astype(np.uint16) * 10, **UTM)
    assert "--span 0 2550" in do(work_on(path), predictor)[1]
    assert do(work_on(path, span=(0, 2550)), predictor)[1] == ""
    assert np.array_equal(labels_of(tmp_path / "labels.tif"), at_once(predictor, pixels))


@pytest.mark.slow
@pytest.mark.usefixtures("by_bands")
def test_the_overlays_opacity_does_not_make_another_job(tmp_path, predictor):
    path = write_geotiff(tmp_path / "a.tif", noise(3, *SIZE), **UTM)
    first = begin(work_on(path, note='{"opacity": 0.5}'), predictor)
    parts, _ = do(work_on(path, note='{"opacity": 0.7}'), predictor)
    assert parts[0].done > first.done


@pytest.mark.usefixtures("by_bands")
def test_a_raster_that_is_cut_off_is_one_line_and_leaves_no_label_map(tmp_path, predictor):
    path = cut_off(write_geotiff(tmp_path / "a.tif", noise(3, *SIZE), **UTM))
    _, error = do(work_on(path), predictor)
    assert "cut off or damaged" in error
    assert "\n" not in error
    assert not (tmp_path / "labels.tif").exists()


def test_the_bands_asked_for_are_seen(tmp_path, predictor):
    pixels = noise(5, *SIZE)
    path = write_geotiff(tmp_path / "a.tif", pixels, **UTM)
    assert "5 bands" in do(work_on(path), predictor)[1]
    assert do(work_on(path, bands=(4, 1, 3)), predictor) == ([], "")
    assert np.array_equal(labels_of(tmp_path / "labels.tif"), at_once(predictor, pixels[[3, 0, 2]]))


@pytest.mark.slow
@pytest.mark.usefixtures("by_bands")
def test_several_views_and_probabilities_see_a_raster_whole(tmp_path):
    flipping = Predictor(build_network("compact", num_classes=3), device="cpu", views=Views(flip=True))
    pixels = noise(3, *SIZE)
    path = write_geotiff(tmp_path / "a.tif", pixels, **UTM)
    assert do(work_on(path, probabilities=tmp_path / "a.npz"), flipping) == ([], "")
    assert np.array_equal(labels_of(tmp_path / "labels.tif"), at_once(flipping, pixels))
    with np.load(tmp_path / "a.npz") as stored:
        assert stored["probabilities"].shape == (3, *SIZE)


def test_what_needs_a_huge_raster_whole_is_refused(tmp_path, predictor, monkeypatch):
    monkeypatch.setattr("atrous.inference.raster_work.MOST_WHOLE_PIXELS", 1000)
    path = write_geotiff(tmp_path / "a.tif", noise(3, *SIZE), **UTM)
    _, error = do(work_on(path, probabilities=tmp_path / "a.npz"), predictor)
    assert "130 x 70 pixels, too many" in error


def test_labels_that_come_by_and_by_are_not_written_to_a_url(tmp_path, predictor):
    path = write_geotiff(tmp_path / "a.tif", noise(3, *SIZE), **UTM)
    work = RasterWork(ImageWork(path, "memory://bucket/a.tif"))
    assert "folder on this machine" in do(work, predictor)[1]


@pytest.mark.slow
@pytest.mark.usefixtures("by_bands")
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (200, 1)])
def test_thin_rasters_are_labeled(tmp_path, predictor, size):
    pixels = noise(3, *size)
    path = write_geotiff(tmp_path / "a.tif", pixels, **UTM)
    assert do(work_on(path), predictor)[1] == ""
    assert np.mean(labels_of(tmp_path / "labels.tif") == at_once(predictor, pixels)) > 0.99


@pytest.mark.slow
@pytest.mark.usefixtures("by_bands")
def test_a_disk_that_fills_up_keeps_what_is_done(tmp_path, predictor):
    path = write_geotiff(tmp_path / "a.tif", noise(3, *SIZE), **UTM)
    first = begin(work_on(path), predictor)
    folder = tmp_path / "labels.tif.parts"
    shutil.move(folder, tmp_path / "kept")
    folder.write_text("no folder can be here")  # as good as a full disk: nothing can be written
    assert "labels.tif" in do(work_on(path), predictor)[1]
    folder.unlink()
    shutil.move(tmp_path / "kept", folder)
    assert do(work_on(path), predictor)[0][0].done > first.done


@pytest.mark.usefixtures("by_bands")
def test_a_network_that_sees_everything_sees_what_memory_holds(tmp_path, monkeypatch):
    pixels = noise(3, *SIZE)
    path = write_geotiff(tmp_path / "a.tif", pixels, **UTM)
    seeing = Predictor(SeesAll(), device="cpu")
    assert do(work_on(path), seeing) == ([], "")
    assert np.array_equal(labels_of(tmp_path / "labels.tif"), at_once(seeing, pixels))
    monkeypatch.setattr("atrous.inference.raster_work.MOST_WHOLE_PIXELS", 1000)
    assert "networks that see everything" in do(work_on(path), seeing)[1]


def test_a_small_raster_that_fails_leaves_nothing_in_the_way(tmp_path, predictor):
    path = cut_off(write_geotiff(tmp_path / "a.tif", noise(3, *SIZE), **UTM))
    assert "replace the file" in do(work_on(path), predictor)[1]
    assert {each.name for each in tmp_path.iterdir()} == {"a.tif"}
