"""The examples of docs/serving.md, as they stand there, against a real server."""

import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from web.serving import as_file, noise, running, save_small

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
HERE = "http://127.0.0.1:7860"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running(save_small(tmp_path_factory.mktemp("serve") / "model.safetensors")) as (_, url):
        yield url


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(as_file(noise(), "JPEG"))
    return tmp_path


def blocks(language: str, word: str) -> list[str]:
    found = re.findall(
        rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [block for block in found if word in block]


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_commands_give_what_the_page_says(url, folder):
    (block,) = blocks("bash", "curl")
    for line in block.strip().splitlines():
        command = line.replace(HERE, url).replace("curl", "curl --silent --show-error --fail", 1)
        done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr.decode()}"
        if "json" in line or "health" in line:
            assert done.stdout.startswith(b"{")
    assert opened(folder / "mask.png").mode == "P"
    assert opened(folder / "overlay.jpg").size == (64, 48)


def test_the_python_example_gives_the_labels(url, folder, monkeypatch, capsys):
    (block,) = blocks("python", "httpx")
    monkeypatch.chdir(folder)
    found = {}
    exec(compile(block.replace(HERE, url), "docs/serving.md", "exec"), found)
    assert found["label_map"].shape == (48, 64)
    assert "'wall':" in capsys.readouterr().out
    mask = found["httpx"].post(f"{url}/predict", files={"image": (folder / "photo.jpg").read_bytes()}).content
    np.testing.assert_array_equal(found["label_map"], np.asarray(Image.open(io.BytesIO(mask))))


@pytest.mark.parametrize(
    "name", ["format", "labels", "opacity", "crf", "sigma_xy", "num_steps", "normalization"]
)
def test_every_field_stands_on_the_page(name):
    assert f"`{name}`" in PAGE.read_text(encoding="utf-8")
