import json

import pytest
from safetensors import safe_open

from atrous.cli import main
from atrous.errors import CheckpointError, SurgeryError
from atrous.jobs.dilate import DilateConfig, run
from atrous.jobs.progress import drain
from atrous.models.catalog import load_network

OWN = """
from torch import nn
from torch.nn import functional

def classifier():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True),
        nn.Conv2d(4, 4, 3, 1, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5),
    )

class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, x):
        return functional.max_pool2d(self.layer(x), 3, stride=2)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_classifier.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "own_classifier"


def test_plan_and_proof_are_told(own):
    result = drain(run(DilateConfig(f"{own}:classifier", output_stride=2, input_size=(33, 41))))
    found = result.to_dict()
    assert found["largest_difference"] < 1e-12
    assert found["receptive_field"] == found["receptive_field_before"]
    assert found["output_stride_before"] == [8.0, 8.0]
    changes = {edit["module"]: edit["change"] for edit in found["edits"]}
    assert "stride 2 -> 1" in changes["5"]
    assert "dilation 1 -> 2" in changes["5"]
    text = result.to_table()
    assert "Output stride 8 -> 2" in text
    assert "Verified: at every 4th cell it equals the original" in text


def test_dropped_pools_are_told_to_be_another_function(own):
    text = drain(run(DilateConfig(f"{own}:classifier", output_stride=2, pools="drop"))).to_table()
    assert "another function, which shares the weights" in text
    assert "Not verified" in text


def test_file_has_the_classifiers_own_tensors(own, tmp_path):
    path = tmp_path / "dense.safetensors"
    drain(run(DilateConfig(f"{own}:classifier", output_stride=2, output=path)))
    with safe_open(path, framework="pt") as opened:
        assert "9.weight" in list(opened.keys())
    with pytest.raises(CheckpointError, match="a file must not name code to run"):
        load_network(path)


def test_impossible_strides_say_which_are_possible(own, capsys):
    assert main(["dilate", f"{own}:classifier", "--output-stride", "3"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert "3" in message
    assert message.count("\n") == 1


def test_functional_strides_are_the_reason_why_not(own):
    with pytest.raises(SurgeryError, match=r"max_pool2d.*own_classifier\.py"):
        drain(run(DilateConfig(f"{own}:Functional", output_stride=2)))


def test_json_is_printed(own, capsys):
    assert main(["dilate", f"{own}:classifier", "--output-stride", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["output_stride"] == 4
