"""Every kind of input through the job: what it becomes, and that another run knows it again."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.errors import ConfigError, OutputError, StoppedError
from atrous.inference import bands as bands_module
from atrous.inference.image_work import ImageWork
from atrous.inference.raster_work import RasterWork
from atrous.inference.volume_work import VolumeWork
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.interrupt import Wish
from atrous.jobs.predict import PredictConfig, run
from atrous.jobs.predict_kinds import COMPILING_PAYS, sizes_repeat, work_on
from atrous.jobs.predict_plan import plan_outputs
from atrous.jobs.progress import drain
from inference.raster_files import UTM, noise, write_geotiff

nibabel = pytest.importorskip("nibabel")


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(noise(30, 40, 3)).save(folder / "photo.png")
    Image.fromarray(noise(30, 40, 3)).save(folder / "scan.tif")
    Image.fromarray(noise(30, 40, 3)).save(folder / "air.jpg")
    (folder / "air.jgw").write_text("1\n0\n0\n-1\n0\n0\n")
    write_geotiff(folder / "place.tif", noise(3, 50, 40), **UTM)
    write_geotiff(folder / "many.tif", noise(6, 20, 30, dtype=np.uint16))
    nibabel.save(nibabel.Nifti1Image(np.zeros((12, 9, 2), np.float32), np.eye(4)), folder / "head.nii.gz")
    return folder


@pytest.fixture
def config(tmp_path, inputs, tiny_checkpoint) -> PredictConfig:
    cpu = InferenceSettings(device="cpu")
    return PredictConfig((str(inputs),), tiny_checkpoint, tmp_path / "out", inference=cpu)


def works_of(config: PredictConfig) -> dict:
    plans = plan_outputs(config.images, Path(config.output))
    return {Path(plan.image).name: work_on(plan, config, note="") for plan in plans}


def test_each_input_is_its_kind(config):
    works = works_of(config)
    kinds = {name: (type(work), work.outputs[0].name) for name, work in works.items()}
    assert kinds == {
        "photo.png": (ImageWork, "photo.png"),
        "scan.tif": (ImageWork, "scan.png"),
        "air.jpg": (RasterWork, "air.tif"),
        "place.tif": (RasterWork, "place.tif"),
        "many.tif": (RasterWork, "many.png"),
        "head.nii.gz": (VolumeWork, "head.nii.gz"),
    }


def test_bands_and_axis_reach_their_works(config):
    works = works_of(replace(config, bands=(3, 2, 1), axis=0, overwrite=True))
    assert works["scan.tif"] == RasterWork(works["scan.tif"].image, (3, 2, 1), overwrite=True)
    assert works["head.nii.gz"].axis == 0
    assert isinstance(works["photo.png"], ImageWork)


def test_an_image_too_large_for_pillow_is_a_raster(config, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert isinstance(works_of(config)["photo.png"], RasterWork)
    result = drain(run(replace(config, bands=(1, 2, 3))))
    assert not result.failed
    monkeypatch.undo()
    with Image.open(Path(config.output) / "photo.png") as labels:
        assert (labels.size, labels.mode) == ((40, 30), "P")


def test_all_kinds_are_predicted_and_known_again(config):
    job = replace(config, bands=(1, 2, 3))
    result = drain(run(job))
    assert not result.failed
    written = [Path(path) for path in result.written]
    maps = {path.name for path in written if ".overlay" not in path.name}
    assert maps == {"photo.png", "scan.png", "air.tif", "place.tif", "many.png", "head.nii.gz"}
    assert "6 label maps" in result.to_table()
    before = {path: path.stat().st_mtime_ns for path in written}
    again = drain(run(replace(job, resume=True)))
    assert len(again.skipped) == 6
    assert {path: path.stat().st_mtime_ns for path in before} == before
    with pytest.raises(OutputError, match=r"was made with (bands|axis)"):
        drain(run(replace(config, resume=True, bands=(3, 2, 1), axis=1)))


def test_one_band_too_many_is_one_line_and_the_others_go_on(config):
    result = drain(run(config))
    assert [Path(name).name for name in result.failed] == ["many.tif"]
    assert "--bands" in next(iter(result.failed.values()))


@pytest.mark.slow
def test_a_wish_to_stop_leaves_a_large_image_at_its_strip(config, inputs, monkeypatch):
    monkeypatch.setattr(bands_module, "WHOLE_PIXELS", 1)
    monkeypatch.setattr(bands_module, "MEMORY", 1)
    job = replace(config, images=(str(inputs / "place.tif"),))
    stopped_at: list[int] = []
    monkeypatch.setattr(Wish, "stop", property(lambda _: len(stopped_at) == 2))
    with pytest.raises(StoppedError, match="add --resume"):
        stopped_at.extend(step.done for step in run(job) if step.part == "predict place.tif")
    assert not (Path(config.output) / "place.tif").exists()
    assert 0 < stopped_at[-1] < 50
    monkeypatch.undo()
    monkeypatch.setattr(bands_module, "WHOLE_PIXELS", 1)
    monkeypatch.setattr(bands_module, "MEMORY", 1)
    parts = [step.done for step in run(replace(job, resume=True)) if step.part == "predict place.tif"]
    assert (Path(config.output) / "place.tif").exists()
    assert parts[0] > stopped_at[-1]


@pytest.mark.parametrize("bands", [(1, 2), (1, 2, 3, 4)])
def test_two_or_four_bands_are_refused(config, bands):
    with pytest.raises(ConfigError, match="neither one, gray, nor three"):
        replace(config, bands=bands)


def test_sizes_repeat_where_compiling_pays(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(COMPILING_PAYS)]
    for number, path in enumerate(paths):
        Image.fromarray(np.zeros((4 + (number == 0), 6), np.uint8)).save(path)
    assert not sizes_repeat([ImageWork(path, path) for path in paths])  # two sizes
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(paths[0])
    assert sizes_repeat([ImageWork(path, path) for path in paths])
    assert not sizes_repeat([ImageWork(path, path) for path in paths[1:]])


def test_linked_folders_count_once_and_pipes_do_not(tmp_path):
    (tmp_path / "real").mkdir()
    Image.fromarray(noise(4, 4, 3)).save(tmp_path / "real/a.png")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "linked").symlink_to(tmp_path / "real")
    (folder / "up").symlink_to(folder)
    os.mkfifo(folder / "pipe.jpg")
    (plan,) = plan_outputs((str(folder),), tmp_path / "out")
    assert plan.label_map() == tmp_path / "out/linked/a.png"


def test_a_world_file_of_what_gdal_does_not_read_by_rows_is_passed_over(config, inputs):
    Image.fromarray(noise(4, 4, 3)).save(inputs / "map.bmp")
    (inputs / "map.bpw").write_text("1\n0\n0\n-1\n0\n0\n")
    assert isinstance(works_of(config)["map.bmp"], ImageWork)


def test_a_band_that_one_raster_lacks_is_one_line(config):
    result = drain(run(replace(config, bands=(4, 5, 6))))
    assert Path(config.output, "many.png").exists()
    assert {Path(name).name for name in result.failed} == {"place.tif", "scan.tif", "air.jpg"}
    assert all("has no band" in reason for reason in result.failed.values())


@pytest.mark.parametrize("span", [(3.0, 3.0), (5.0, 1.0)])
def test_a_span_without_extent_is_refused(config, span):
    with pytest.raises(ConfigError, match="no extent"):
        replace(config, span=span)


def test_no_image_is_refused(config):
    with pytest.raises(ConfigError, match="nothing to predict"):
        replace(config, images=())
