"""What the pages take for granted: DATA, photos, a network; made once a session, copied for each page."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.checkpoint import save_checkpoint
from atrous.data.labels import LabelSet
from atrous.data.scenes import Scenes
from atrous.models.catalog import build_network, to_checkpoint
from docs.blocks import ROOT

LABELS = LabelSet(("road", "car", "tree"), ((128, 64, 128), (64, 0, 128), (0, 128, 0)))
SIDES = (48, 64)  # height and width in px
NUM_IMAGES = {"train": 4, "val": 2}


def draw_street(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image whose colors tell the classes of its blocks, and its mask."""
    mask = np.kron(random.integers(0, 3, (3, 4)), np.ones((16, 16), int)).astype(np.uint8)
    noise = random.integers(-20, 20, (*mask.shape, 3))
    return np.clip(np.asarray(LABELS.palette)[mask] + noise, 0, 255).astype(np.uint8), mask


def keep_demo(folder: Path) -> None:
    """What `atrous demo` leaves behind, its network untrained."""
    scenes = Scenes("test")
    network = build_network("compact_context", num_classes=scenes.label_set.num_classes)
    labels = scenes.label_set.to_dict()
    (folder / "scenes").mkdir(parents=True)
    save_checkpoint(
        folder / "with_context.safetensors",
        to_checkpoint(network, name="compact_context", labels=labels, progress={}),
    )
    Image.fromarray(scenes[0].image).save(folder / "scenes/test_000.png")


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that pages name."""
    folder = tmp_path_factory.mktemp("furnished")
    random = np.random.default_rng(0)
    for split, count in NUM_IMAGES.items():
        for part in ("images", "masks"):
            (folder / "DATA" / split / part).mkdir(parents=True)
        for number in range(count):
            image, mask = draw_street(random)
            Image.fromarray(image).save(folder / f"DATA/{split}/images/{split}{number}.png")
            Image.fromarray(mask).save(folder / f"DATA/{split}/masks/{split}{number}.png")
    names, palette = list(LABELS.names), [list(color) for color in LABELS.palette]
    (folder / "DATA/labels.toml").write_text(f"names = {names}\npalette = {palette}\n")
    (folder / "photos").mkdir()
    for name in ("photos/first.jpg", "photos/second.jpg", "street.jpg", "photo.jpg"):
        Image.fromarray(draw_street(random)[0]).save(folder / name)
    torch.manual_seed(0)
    network = build_network("compact", num_classes=len(LABELS.names))
    checkpoint = to_checkpoint(network, name="compact", labels=LABELS.to_dict(), progress={})
    (folder / "runs/mine").mkdir(parents=True)
    for name in ("model.safetensors", "runs/mine/model.safetensors"):
        save_checkpoint(folder / name, checkpoint)
    keep_demo(folder / "runs/demo")
    return folder


@pytest.fixture
def place(furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in, which is the current folder, beside the project's recipes and examples."""
    folder = tmp_path / "page"
    shutil.copytree(furnished, folder)
    for part in ("recipes", "examples", "benchmarks"):
        (folder / part).symlink_to(ROOT / part)
    monkeypatch.chdir(folder)
    return folder
