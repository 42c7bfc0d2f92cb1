import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.checkpoint import save_checkpoint
from atrous.errors import ConfigError, DataError, OutputError
from atrous.inference.predictor import Predictor
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.predict import PredictConfig, plan_outputs, run
from atrous.jobs.progress import drain
from atrous.models.catalog import build_network, to_checkpoint
from atrous.models.released import RELEASED_LABELS

CPU = InferenceSettings(device="cpu")
RELEASED = replace(CPU, protocol="released")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(1).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "street.jpg", quality=95)
    return tmp_path / "street.jpg"


def config(tmp_path: Path, checkpoint: Path, *images: Path | str) -> PredictConfig:
    return PredictConfig(
        tuple(map(str, images)), checkpoint=checkpoint, output=tmp_path / "out", inference=CPU
    )


def test_predict_writes_the_predictors_label_map_with_the_palette(tmp_path, tiny_checkpoint, photo):
    result = drain(run(config(tmp_path, tiny_checkpoint, photo)))
    expected = Predictor(tiny_checkpoint, device="cpu")(photo)
    with Image.open(tmp_path / "out/street.png") as written:
        assert written.size == (50, 37)
        assert np.array_equal(np.asarray(written), expected.label_map)
        colors = np.asarray(written.convert("RGB"))
    assert np.array_equal(colors, np.asarray(expected.label_set.palette)[expected.label_map])
    assert result.written == (tmp_path / "out/street.png", tmp_path / "out/street.overlay.jpg")
    assert result.exit_code == 0


def test_predict_saves_probabilities_that_argmax_to_the_label_map(tmp_path, tiny_checkpoint, photo):
    settings = replace(config(tmp_path, tiny_checkpoint, photo), save_probabilities=True, overlay=False)
    drain(run(settings))
    with np.load(tmp_path / "out/street.npz") as stored:
        probabilities = stored["probabilities"].astype(np.float64)
    assert probabilities.shape == (3, 37, 50)
    assert np.allclose(probabilities.sum(0), 1, atol=2e-3)
    with Image.open(tmp_path / "out/street.png") as written:
        agreement = np.mean(probabilities.argmax(0) == np.asarray(written))
    assert agreement > 0.99  # float16 may tie
    assert not (tmp_path / "out/street.overlay.jpg").exists()


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1", "I;16", "I"])
def test_predict_takes_every_mode(tmp_path, tiny_checkpoint, mode):
    pixels = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    if mode.startswith("I"):
        gray = pixels[..., 0].astype(np.uint16) * 257
        image = Image.fromarray(gray if mode == "I;16" else gray.astype(np.int32))
    else:
        image = Image.fromarray(pixels).convert(mode)
    path = tmp_path / f"a.{'tif' if mode in ('CMYK', 'I') else 'png'}"
    image.save(path)
    drain(run(config(tmp_path, tiny_checkpoint, path)))
    with Image.open(tmp_path / "out/a.png") as written:
        assert written.size == (30, 20)


def test_predict_turns_images_upright(tmp_path, tiny_checkpoint):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    path = tmp_path / "phone.jpg"
    Image.new("RGB", (40, 24), (200, 40, 40)).save(path, exif=exif)
    drain(run(config(tmp_path, tiny_checkpoint, path)))
    with Image.open(tmp_path / "out/phone.png") as written:
        assert written.size == (24, 40)


def test_predict_goes_on_after_a_broken_image_and_names_it(tmp_path, tiny_checkpoint, photo):
    folder = tmp_path / "photos"
    folder.mkdir()
    photo.rename(folder / "good.jpg")
    (folder / "broken.jpg").write_bytes((folder / "good.jpg").read_bytes()[:200])
    result = drain(run(config(tmp_path, tiny_checkpoint, folder)))
    assert (tmp_path / "out/good.png").exists()
    assert not (tmp_path / "out/broken.png").exists()
    assert list(result.failed) == [str(folder / "broken.jpg")]
    assert "broken.jpg" in result.to_table()
    assert result.exit_code == 1
    assert json.loads(json.dumps(result.to_dict()))["failed"] == result.failed


def test_predict_asks_for_the_protocol(tmp_path, tiny_checkpoint, photo):
    settings = replace(config(tmp_path, tiny_checkpoint, photo), inference=RELEASED)
    with pytest.raises(ConfigError, match="this network was not published with one"):
        drain(run(settings))
    with pytest.raises(ConfigError, match="leave out scales and flip"):
        drain(run(replace(settings, inference=replace(RELEASED, flip=True))))


@pytest.mark.slow
@pytest.mark.exhaustive  # at full size, by the verb; tests/inference/test_released.py has the tiles
def test_predict_in_the_tiles_of_camvid(tmp_path):
    name, checkpoint = "dilation8_camvid", tmp_path / "camvid.safetensors"
    torch.manual_seed(0)
    network = build_network(name).eval()
    labels = RELEASED_LABELS[name].to_dict()
    save_checkpoint(checkpoint, to_checkpoint(network, name=name, labels=labels, progress={}))
    pixels = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "small.png")
    settings = config(tmp_path, checkpoint, tmp_path / "small.png")
    drain(run(replace(settings, save_probabilities=True, inference=RELEASED)))
    checkpoint.unlink()  # half a gigabyte

    mean = np.array([110.70313206, 108.77808759, 105.41212523], np.float32)  # FACTS section 5: B, G, R
    margin = (186, 186), (186, 186), (0, 0)
    padded = np.pad(pixels[..., ::-1] - mean, margin, mode="reflect")
    height, width = padded.shape[:2]
    tile = np.pad(padded, ((0, 900 - height), (0, 1100 - width), (0, 0)), mode="reflect")
    with torch.no_grad():
        cells = network(torch.from_numpy(tile.transpose(2, 0, 1)[None].copy())).softmax(1)[0].numpy()
    assert cells.shape == (11, 66, 91)  # FACTS section 4
    with np.load(tmp_path / "out/small.npz") as stored:
        probabilities = stored["probabilities"].astype(np.float32)
    np.testing.assert_allclose(probabilities[:, ::8, ::8], cells[:, :6, :8], atol=1e-3)
    assert probabilities.std() > 0.01


def test_predict_never_overwrites_unless_told(tmp_path, tiny_checkpoint, photo):
    settings = config(tmp_path, tiny_checkpoint, photo)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/street.png").write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        drain(run(settings))
    assert (tmp_path / "out/street.png").read_text() == "mine"
    drain(run(replace(settings, overwrite=True)))
    with Image.open(tmp_path / "out/street.png") as written:
        assert written.size == (50, 37)


def test_predict_never_writes_on_an_image_it_was_given(tmp_path, tiny_checkpoint, photo):
    with Image.open(photo) as image:
        image.save(tmp_path / "street.png")
    settings = PredictConfig(
        (str(tmp_path / "street.png"),), tiny_checkpoint, output=tmp_path, overwrite=True
    )
    with pytest.raises(OutputError, match="one of the images"):
        drain(run(settings))


def test_plan_outputs_keeps_folders_and_names_apart(tmp_path):
    for name in ("a/x.jpg", "a/b/x.jpg", "a/y.png", "a/y.tif", "c/z.webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    plans = plan_outputs(
        (str(tmp_path / "a"), str(tmp_path / "*/z.*"), str(tmp_path / "a/x.jpg")), Path("out")
    )
    assert {str(plan.label_map()) for plan in plans} == {
        "out/x.png",
        "out/b/x.png",
        "out/y.png.png",
        "out/y.tif.png",
        "out/z.png",
    }
    assert len(plans) == 5


def test_plan_outputs_keeps_equal_names_of_two_folders_apart(tmp_path):
    for name in ("a/x.jpg", "b/x.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"a/x\.jpg.*b/x\.jpg"):
        plan_outputs((str(tmp_path / "a"), str(tmp_path / "b")), Path("out"))


@pytest.mark.parametrize("pattern", ["nothing.jpg", "nowhere/*.png"])
def test_plan_outputs_refuses_what_is_not_there(tmp_path, pattern):
    with pytest.raises(DataError, match="check the path"):
        plan_outputs((str(tmp_path / pattern),), Path("out"))


def test_plan_outputs_refuses_a_folder_without_images(tmp_path):
    with pytest.raises(DataError, match="no image in"):
        plan_outputs((str(tmp_path),), Path("out"))


def test_plan_outputs_passes_over_hidden_files_and_its_own_results(tmp_path):
    (tmp_path / "labels").mkdir()
    for name in ("x.jpg", "._x.jpg", "labels/x.png", "labels/x.overlay.jpg"):
        (tmp_path / name).touch()
    plans = plan_outputs((str(tmp_path),), tmp_path / "labels")
    assert [plan.image for plan in plans] == [tmp_path / "x.jpg"]


def test_plan_outputs_refuses_to_find_images_only_among_its_results(tmp_path):
    (tmp_path / "x.jpg").touch()
    with pytest.raises(DataError, match="choose another --output"):
        plan_outputs((str(tmp_path),), tmp_path)
