"""Images and results behind URLs: the same files as with paths, and a run that goes on."""

from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from atrous.errors import DataError, OutputError
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.predict import PredictConfig, run
from atrous.jobs.predict_plan import plan_outputs
from atrous.jobs.progress import drain


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for number, name in enumerate(("a.png", "b/a.png", "b/c.jpg", ".hidden.png", "notes.txt")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (17, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name, format="PNG")
    (folder / "b/broken.png").write_bytes((folder / "a.png").read_bytes()[:200])
    return folder


@pytest.fixture
def bucket(photos):
    """The same in fsspec's memory."""
    files = fsspec.filesystem("memory")
    for path in photos.rglob("*.*"):
        files.pipe_file(f"/bucket/photos/{path.relative_to(photos)}", path.read_bytes())
    yield files
    files.rm("/bucket", recursive=True)


@pytest.fixture
def config(tmp_path, tiny_checkpoint, photos):
    cpu = InferenceSettings(device="cpu")
    return PredictConfig((str(photos),), tiny_checkpoint, output=tmp_path / "out", inference=cpu)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_bucket_gives_and_takes_the_same_files(config, bucket):
    drain(run(config))
    urls = replace(config, images=("memory://bucket/photos/",), output="memory://bucket/photos/out")
    result = drain(run(urls))
    written = {
        path.removeprefix("/bucket/photos/out/"): bucket.cat_file(path)
        for path in bucket.find("/bucket/photos/out")
    }
    expected = contents(Path(config.output))
    assert written.keys() == expected.keys()
    assert all(written[name] == expected[name] for name in written if name != "failures.jsonl")
    assert b"memory://bucket/photos/b/broken.png cannot be read" in written["failures.jsonl"]
    assert result.written[0] == "memory://bucket/photos/out/a.png"

    with pytest.raises(OutputError, match="--resume"):
        drain(run(urls))
    bucket.rm_file("/bucket/photos/out/b/a.png")
    bucket.pipe_file("/bucket/photos/b/broken.png", bucket.cat_file("/bucket/photos/a.png"))
    again = drain(run(replace(urls, resume=True)))
    assert again.skipped == ("memory://bucket/photos/a.png", "memory://bucket/photos/b/c.jpg")
    assert (len(again.written), again.exit_code) == (4, 0)
    assert not bucket.exists("/bucket/photos/out/failures.jsonl")


@pytest.mark.usefixtures("bucket")
def test_resume_in_a_bucket_refuses_what_other_settings_made(config):
    urls = replace(config, images=("memory://bucket/photos/a.png",), output="memory://bucket/out")
    drain(run(urls))
    flipped = replace(urls, resume=True, inference=replace(config.inference, flip=True))
    with pytest.raises(OutputError, match=r"memory://bucket/out/a\.png was made with flip false"):
        drain(run(flipped))


def test_an_image_in_a_bucket_is_never_overwritten(config, bucket):
    urls = replace(
        config, images=("memory://bucket/photos/a.png",), output="memory://bucket/photos", overwrite=True
    )
    before = bucket.cat_file("/bucket/photos/a.png")
    with pytest.raises(OutputError, match="one of the images"):
        drain(run(urls))
    assert bucket.cat_file("/bucket/photos/a.png") == before


def test_images_of_a_file_url_are_those_of_the_path(photos):
    assert plan_outputs((f"file://{photos}",), Path("out")) == plan_outputs((str(photos),), Path("out"))


@pytest.mark.usefixtures("bucket")
def test_an_image_by_its_url_and_a_pattern_are_found():
    plans = plan_outputs(("memory://bucket/photos/b/c.jpg", "memory://bucket/photos/*.png"), Path("out"))
    assert [(plan.image, plan.label_map()) for plan in plans] == [
        ("memory://bucket/photos/b/c.jpg", Path("out/c.png")),
        ("memory://bucket/photos/a.png", Path("out/a.png")),
    ]


@pytest.mark.parametrize(
    ("url", "words"),
    [("memory://bucket/nothing", "nothing is at"), ("memory://bucket/photos/notes*", "no image in")],
)
@pytest.mark.usefixtures("bucket")
def test_a_bucket_without_images_is_refused(url, words):
    with pytest.raises(DataError, match=words):
        plan_outputs((url,), Path("out"))
