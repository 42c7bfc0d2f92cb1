import json
import math

import pytest

from atrous.cli import main
from atrous.errors import ConfigError
from atrous.jobs.analyze import AnalyzeConfig, parse_dilations, run
from atrous.jobs.progress import drain

OWN = """
import torch
from torch import nn

class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        return x * self.pool(x).sigmoid()

class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.strided, self.pooled = nn.Conv2d(3, 3, 3, 2, 1), nn.AvgPool2d(2)

    def forward(self, x):
        return self.strided(x) + self.pooled(x)

def gated():
    return nn.Sequential(Both(), Gate(), nn.Conv2d(3, 2, 3, dilation=4))
"""


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    (tmp_path / "own_gated.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "own_gated:gated"


def test_analysis_of_a_catalog_network_is_the_documented_one():
    found = drain(run(AnalyzeConfig("compact_context"))).to_dict()
    assert found["receptive_field"] == [296, 296]
    assert found["stride"] == [4, 4]
    assert found["center"] == [1.5, 1.5]
    assert found["coverage"]["fraction"] == 1


def test_analysis_says_what_is_global_misaligned_and_full_of_holes(own_code):
    analysis = drain(run(AnalyzeConfig(own_code)))
    found = analysis.to_dict()
    assert found["receptive_field"] == [None, None]
    assert found["local_receptive_field"] == [
        19,
        19,
    ]  # 3 px, and a last layer of 3 taps 4 cells of 2 px apart
    assert found["misaligned"] == [{"node": "0", "pixels": 0.5}]
    assert found["coverage"]["axes"] == [9 / 19, 9 / 19]
    text = analysis.to_table()
    assert "the whole input, through adaptive pooling (1.pool)" in text
    assert "Misaligned: branches with different centers meet at 0 by 0.5 px." in text
    assert "holes" in text


def test_growth_table_sets_dilated_against_standard_layers():
    text = drain(run(AnalyzeConfig(dilations="1,1,2,4,8,16,1"))).to_table()
    assert "7         1      67              15       63" in text
    assert "To see 67 px takes 33 standard layers and 297 weights, or these 7 and 63." in text


def test_analysis_names_the_layer_that_makes_holes():
    found = drain(run(AnalyzeConfig(dilations="1,2,9"))).to_dict()
    assert found["coverage"]["fraction"] == 21 / 25
    assert found["gridding"]["culprit"] == "layer3"


def test_layers_inside_can_be_asked_about():
    found = drain(run(AnalyzeConfig("frontend", layer="layers.conv3_3"))).to_dict()
    assert found["receptive_field"] == [40, 40]


def test_json_of_the_command_is_strict(capsys):
    assert main(["analyze", "--dilations", "2,4,8", "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert math.isclose(found["coverage"]["fraction"], 15 / 29)


def test_figure_is_written(tmp_path):
    path = tmp_path / "field.png"
    drain(run(AnalyzeConfig(dilations="1,2,4", save_figure=path)))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_too_little_memory_for_coverage_is_said_not_raised():
    text = drain(run(AnalyzeConfig("compact_context", max_memory=1e-6))).to_table()
    assert "Coverage was not computed:" in text


@pytest.mark.parametrize("text", ["", "0", "1,-2", "1;2", "a"])
def test_dilations_must_be_numbers_from_1_on(text):
    with pytest.raises(ConfigError, match="no whole numbers from 1 on"):
        parse_dilations(text)


@pytest.mark.parametrize("config", [AnalyzeConfig(), AnalyzeConfig("compact", dilations="1")])
def test_either_a_network_or_dilations(config):
    with pytest.raises(ConfigError, match="either a NETWORK or --dilations"):
        drain(run(config))


@pytest.mark.slow
def test_a_network_of_the_catalog_may_stand_on_another_backbone():
    found = drain(run(AnalyzeConfig("fcn8s", backbone="resnet18"))).to_dict()
    assert found["layers"][-1]["receptive_field"] == [659, 659]
    with pytest.raises(ConfigError, match=r'"a.safetensors" has its backbone; leave backbone out'):
        drain(run(AnalyzeConfig("a.safetensors", backbone="resnet18")))


def test_places_of_volumes_are_voxels():
    text = drain(run(AnalyzeConfig("context3d", input_size=(40,), max_memory=1e-6))).to_table()
    assert "Receptive field: 35 voxels at stride 1; cell r is centered on voxel 0" in text
