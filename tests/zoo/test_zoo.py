"""Surgery and geometry on other people's networks; run by `scripts/zoo test` beside torchvision and timm."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from atrous.cli import main
from atrous.errors import CheckpointError, SurgeryError
from atrous.geometry.receptive_field import receptive_field
from atrous.models.catalog import load_network
from atrous.models.foreign import foreign_network
from atrous.models.named import example_of, weightless_network
from atrous.surgery.dilate import dilate
from zoo.networks import NAMES

pytestmark = [
    pytest.mark.zoo,
    pytest.mark.filterwarnings("default"),  # of other people's code
    pytest.mark.skipif(
        importlib.util.find_spec("torchvision") is None or importlib.util.find_spec("timm") is None,
        reason="torchvision and timm are not installed; run scripts/zoo test",
    ),
]
DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = torch.zeros(1, 3, 97, 129)

# Quick ones that show shortcuts, ceil-mode pools, squeeze-and-excitation, channel shuffle and SAME padding.
QUICK = (
    "torchvision:resnet18", "torchvision:squeezenet1_1", "torchvision:mobilenet_v3_small",
    "torchvision:shufflenet_v2_x1_0", "timm:tf_efficientnet_b0", "timm:repghostnet_100",
)  # fmt: skip


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("output_stride", [16, 8])
def test_quick_networks_are_made_dense_and_verified(name, output_stride):
    torch.manual_seed(0)
    network = foreign_network(name)
    dense = dilate(network, EXAMPLE, output_stride=output_stride)
    assert type(dense) is type(network)
    assert dense.state_dict().keys() == network.state_dict().keys()
    field = receptive_field(dense, EXAMPLE)
    assert field.stride == (output_stride, output_stride)
    assert field.local == receptive_field(network, EXAMPLE).local


@pytest.mark.parametrize(
    ("name", "field", "stride"),
    [("torchvision:vgg16", 212, 32), ("torchvision:resnet50", 427, 32), ("timm:resnet50", 427, 32)],
)
def test_receptive_fields_are_the_published_ones(name, field, stride):
    network = weightless_network(name)
    found = receptive_field(network, example_of(network))
    assert (found.local, found.stride) == ((field, field), (stride, stride))


def test_functional_strides_are_the_reason_why_not():
    with pytest.raises(SurgeryError, match=r"Mixed_6a.* calls max_pool2d with stride 2 .*inception\.py"):
        dilate(foreign_network("torchvision:inception_v3"), torch.zeros(1, 3, 129, 129))


def test_dense_resnet_is_the_classifier_on_every_cell():
    torch.manual_seed(0)
    network = foreign_network("torchvision:resnet18").eval()
    dense = dilate(network, EXAMPLE, head="dense")
    image = torch.randn(1, 3, 97, 129)
    with torch.no_grad():
        logits = dense(image)[..., ::4, ::4]
        torch.testing.assert_close(logits.mean((2, 3)), network(image), rtol=1e-4, atol=1e-5)


def test_dilated_files_are_read_back(tmp_path, capsys):
    path = tmp_path / "dense.safetensors"
    torch.manual_seed(0)
    assert main(["dilate", "torchvision:resnet18", "--input-size", "97", "129", "-o", str(path)]) == 0
    assert "Verified: at every 4th cell" in capsys.readouterr().out
    network = load_network(path)
    assert (network.output_stride, network.center, network.receptive_field) == (8, 0.0, 435)
    images = torch.randn(1, 3, 97, 129)
    with torch.no_grad():
        assert network(images).shape == (1, 512, 13, 17)


def test_dilated_files_of_own_code_are_not_run(tmp_path, monkeypatch):
    (tmp_path / "own_dilated.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1))\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["dilate", "own_dilated:build", "--output-stride", "2", "-o", "own.safetensors"]) == 0
    with pytest.raises(CheckpointError, match="a file must not name code to run"):
        load_network("own.safetensors")


def test_the_table_has_every_network():
    known = json.loads((DOCS / "zoo.json").read_text())
    table = (DOCS / "zoo.md").read_text()
    assert set(known) == set(NAMES)
    assert all(f"| {name} |" in table for name in NAMES)


@pytest.mark.parametrize("name", QUICK)
def test_the_table_says_what_is_verified(name):
    row = json.loads((DOCS / "zoo.json").read_text())[name]
    assert isinstance(row["16"], float)
    assert isinstance(row["8"], float)
