import importlib.util

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from atrous.errors import CheckpointError, ConfigError
from atrous.models.frontend import FrontEnd
from atrous.models.named import example_of, input_shape, named_network, weightless_network

OWN = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv1d(2, 3, 5), nn.ReLU())

network = nn.Conv3d(1, 1, 3)

def wrong():
    return 3

def broken():
    raise ValueError("no such luck")
"""


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    (tmp_path / "own_networks.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "own_networks"


def test_names_of_the_catalog_are_built_without_weights():
    network = weightless_network("frontend")
    assert isinstance(network, FrontEnd)
    assert next(network.parameters()).device.type == "meta"
    assert example_of(network).shape == (1, 3, 884, 884)  # 512 px and the margin on both sides


def test_checkpoints_are_loaded(tiny_checkpoint):
    network = named_network(str(tiny_checkpoint))
    assert not network.training


def test_own_callables_and_modules_are_taken(own_code):
    assert isinstance(named_network(f"{own_code}:build"), nn.Sequential)
    assert isinstance(named_network(f"{own_code}:network"), nn.Conv3d)


def test_input_shape_follows_the_first_convolution(own_code):
    assert input_shape(named_network(f"{own_code}:build")) == (1, 2, 16000)
    assert input_shape(named_network(f"{own_code}:network"), (9, 8, 7)) == (1, 1, 9, 8, 7)
    assert input_shape(named_network(f"{own_code}:network"), (9,)) == (1, 1, 9, 9, 9)
    with pytest.raises(ConfigError, match=r"input size \(9, 8\) does not fit 3 axes"):
        input_shape(named_network(f"{own_code}:network"), (9, 8))


def test_weights_are_put_in(own_code, tmp_path):
    state = {"0.weight": torch.ones(3, 2, 5), "0.bias": torch.zeros(3)}
    save_file(state, tmp_path / "own.safetensors")
    torch.save(state, tmp_path / "own.pth")
    for name in ("own.safetensors", "own.pth"):
        network = named_network(f"{own_code}:build", weights=tmp_path / name)
        assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"0.weight": torch.ones(3, 2, 5)}, "1 names are missing or too many, such as 0.bias"),
        ({"0.weight": torch.ones(3, 2, 4), "0.bias": torch.zeros(3)}, "does not fit.*size mismatch"),
    ],
)
def test_weights_that_do_not_fit_are_refused(own_code, tmp_path, state, message):
    save_file(state, tmp_path / "own.safetensors")
    with pytest.raises(CheckpointError, match=message):
        named_network(f"{own_code}:build", weights=tmp_path / "own.safetensors")


def test_pickled_code_is_not_run(own_code, tmp_path):
    torch.save(nn.Conv2d(1, 1, 1), tmp_path / "own.pth")
    with pytest.raises(CheckpointError, match="broken or holds more than tensors"):
        named_network(f"{own_code}:build", weights=tmp_path / "own.pth")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("front_end", 'did you mean "frontend"'),
        ("no_such_package:build", "cannot be imported"),
        ("own_networks:nothing", "cannot be imported"),
        ("own_networks:broken", "failed with ValueError: no such luck"),
        ("own_networks:wrong", "gives a int; let it return a torch.nn.Module"),
    ],
)
def test_what_is_no_network_says_what_would_be(own_code, name, message):
    assert own_code == "own_networks"
    with pytest.raises(ConfigError, match=message):
        named_network(name)


def test_pretrained_weights_are_of_the_packages_only():
    with pytest.raises(ConfigError, match="no pretrained weights to fetch"):
        named_network("compact", pretrained=True)


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_missing_packages_are_named():
    with pytest.raises(ConfigError, match="torchvision is not installed; run `pip install torchvision`"):
        named_network("torchvision:resnet50")
    with pytest.raises(ConfigError, match=r"is not installed|cannot be imported"):
        named_network("timm:resnet50")
