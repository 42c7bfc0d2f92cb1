"""What all tests share: shapes checked at run time, a tiny data set, real data where there is any."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook
from PIL import Image

install_import_hook("atrous", "typechecking.check")

from atrous.checkpoint import save_checkpoint  # noqa: E402 (after the hook)
from atrous.data.labels import LabelSet  # noqa: E402
from atrous.models.catalog import build_network, to_checkpoint  # noqa: E402

settings.register_profile("atrous", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("atrous")

SHARED = Path(__file__).parent.parent.parent / "shared"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data sets."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the real data sets in ../shared/data, which are not part of the project")
    return SHARED / "data"


@pytest.fixture
def shared_weights() -> Path:
    """The folder of pretrained weights."""
    if not (SHARED / "weights").is_dir():
        pytest.skip("needs the pretrained weights in ../shared/weights, which are not part of the project")
    return SHARED / "weights"


LABELS = LabelSet(("ground", "wall", "sky"), ((90, 60, 30), (200, 40, 40), (40, 80, 220)))


@pytest.fixture
def tiny_data(tmp_path: Path) -> Path:
    """DATA/{train,val} in the folder layout: color tells the class, a corner of each mask is ignored."""
    root = tmp_path / "data"
    generator = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for folder in ("images", "masks"):
            (root / split / folder).mkdir(parents=True)
        for number in range(count):
            labels = np.kron(generator.integers(0, 3, (3, 4)), np.ones((16, 16), int)).astype(np.uint8)
            noise = generator.integers(-20, 20, (*labels.shape, 3))
            image = np.clip(np.asarray(LABELS.palette)[labels] + noise, 0, 255).astype(np.uint8)
            labels[:4, :4] = 255
            Image.fromarray(image).save(root / split / "images" / f"{split}{number}.png")
            Image.fromarray(labels).save(root / split / "masks" / f"{split}{number}.png")
    (root / "labels.toml").write_text(
        f"names = {list(LABELS.names)}\npalette = {[list(color) for color in LABELS.palette]}\n"
    )
    return root


@pytest.fixture
def tiny_checkpoint(tmp_path: Path) -> Path:
    """A compact network with random weights and the labels of `tiny_data`."""
    torch.manual_seed(0)
    network = build_network("compact", num_classes=3)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, to_checkpoint(network, name="compact", labels=LABELS.to_dict(), progress={}))
    return path
