"""`atrous import`: from a .caffemodel to predictions, and what it says of files that do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from atrous.checkpoint import load_checkpoint
from atrous.cli import main
from atrous.data.voc import VOC_LABELS
from atrous.errors import CheckpointError, ConfigError, OutputError
from atrous.inference.predictor import Predictor
from atrous.jobs.import_weights import ImportConfig, run
from atrous.jobs.progress import drain
from atrous.models.vgg_weights import PARAMETERS
from models.caffe_engine import random_blobs, released_prototxt
from weights.caffe_files import write_caffemodel


@pytest.fixture
def voc_shapes():
    return released_prototxt("dilation8_voc", 436, 436).shapes


@pytest.mark.slow
def test_caffemodel_becomes_a_checkpoint_that_predicts(voc_shapes, tmp_path):
    blobs = random_blobs(voc_shapes, seed=0)
    path, output = tmp_path / "dilation8_pascal_voc.caffemodel", tmp_path / "voc.safetensors"
    write_caffemodel(path, blobs, version="v1", dims="legacy")
    result = drain(run(ImportConfig("caffe", path, output)))
    assert result.exit_code == 0
    assert result.counts() == {"used": 2 * 24, "unused": 0, "missing": 0, "wrong shape": 0, "not finite": 0}
    assert "dilation8_voc, 21 classes: background, aeroplane, " in result.to_table()
    assert "BGR minus 102.93, 111.36, 116.52" in result.to_table()

    tensors = load_checkpoint(output).tensors
    assert np.array_equal(tensors["front_end.layers.final.weight"].numpy(), blobs["fc-final"][0])
    assert np.array_equal(tensors["context.layers.12.bias"].numpy(), blobs["ct_fc1"][1])
    predictor = Predictor(output)
    assert predictor.label_set == VOC_LABELS
    prediction = predictor(np.random.default_rng(0).integers(0, 256, (17, 30, 3), dtype=np.uint8))
    assert prediction.label_map.shape == (17, 30)


@pytest.mark.slow
def test_vgg16_becomes_weights_to_start_from(tmp_path):
    generator = np.random.default_rng(0)
    blobs: dict[str, list[np.ndarray]] = {}
    for name, shape in PARAMETERS.items():
        if name.startswith("fc") and name.endswith("weight"):  # inner products
            shape = (shape[0], int(np.prod(shape[1:])))
        values = generator.standard_normal(shape, dtype=np.float32)
        blobs.setdefault(name.split(".")[0], []).append(values)
    blobs["fc8"] = [np.zeros((10, 4096), np.float32), np.zeros(10, np.float32)]
    path, output = tmp_path / "VGG_ILSVRC_16_layers.caffemodel", tmp_path / "vgg16.safetensors"
    write_caffemodel(path, blobs, version="v1", dims="legacy")
    result = drain(run(ImportConfig("caffe", path, output, mean=(1.0, 2.0, 3.0))))
    assert result.counts() == {"used": 30, "unused": 2, "missing": 0, "wrong shape": 0, "not finite": 0}
    assert result.to_dict()["normalization"]["mean"] == (1.0, 2.0, 3.0)
    assert "start a training from it with --init" in result.to_table()
    tensors = load_file(output)
    assert {name: tuple(value.shape) for name, value in tensors.items()} == PARAMETERS
    assert np.array_equal(tensors["fc6.weight"].numpy().reshape(4096, -1), blobs["fc6"][0])


def test_file_that_does_not_fit_is_reported_and_not_written(voc_shapes, tmp_path, capsys):
    layers = {
        "conv1_1": [np.zeros((64, 3, 5, 5), np.float32), np.zeros(64, np.float32)],
        "fc-final": [np.zeros((21, 4096, 1, 1), np.float32), np.zeros(21, np.float32)],
        "ct_conv1_1": [np.zeros((42, 21, 3, 3), np.float32), np.zeros(42, np.float32)],
        "other": [np.zeros(3, np.float32)],
    }
    path, output = tmp_path / "a.caffemodel", tmp_path / "a.safetensors"
    write_caffemodel(path, layers)
    assert main(["import", "caffe", str(path), "-o", str(output)]) == 1
    said = capsys.readouterr().out
    assert "5 used, 1 unused, 42 missing, 1 wrong shape, 0 not finite" in said
    assert "Nothing was written: these are no sound weights of dilation8_voc, or not all of them" in said
    line = next(line for line in said.splitlines() if line.startswith("conv1_1[0]"))
    assert line.split() == ["conv1_1[0]", "64x3x5x5", "front_end.layers.conv1_1.weight", "wrong", "shape"]
    assert not output.exists()

    assert main(["import", "caffe", str(path), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["output"] is None
    assert len(said["tensors"]) == len(voc_shapes) * 2 + 1


def test_file_that_is_there_is_not_overwritten(tmp_path):
    path, output = tmp_path / "a.caffemodel", tmp_path / "precious.safetensors"
    write_caffemodel(path, {"final": [np.zeros((3, 4096, 1, 1), np.float32), np.zeros(3, np.float32)]})
    output.write_bytes(b"precious")
    with pytest.raises(
        OutputError, match=r"precious\.safetensors is there already; add --overwrite or choose"
    ):
        drain(run(ImportConfig("caffe", path, output)))
    assert drain(run(ImportConfig("caffe", path, output, overwrite=True))).exit_code == 1
    assert output.read_bytes() == b"precious"  # what does not fit replaces nothing


def test_another_network_than_the_layers_name_is_noted(tmp_path):
    path = tmp_path / "a.caffemodel"
    write_caffemodel(
        path, {"fc-final": [np.zeros((21, 4096, 1, 1), np.float32)], "ct_conv1_1": [np.zeros(1)]}
    )
    result = drain(run(ImportConfig("caffe", path, network="frontend")))
    assert "Note: the names of its layers are those of dilation8_voc." in result.to_table()
    assert "Note" not in drain(run(ImportConfig("caffe", path))).to_table()
    write_caffemodel(
        path, {"fc-final": [np.zeros((21, 4096, 1, 1), np.float32)], "ctx_conv1_1": [np.zeros(1)]}
    )
    with pytest.raises(
        CheckpointError, match=r"a\.caffemodel has layers of no known network \(2: ctx_conv1_1"
    ):
        drain(run(ImportConfig("caffe", path)))
    result = drain(run(ImportConfig("caffe", path, network="frontend")))
    assert "Note: the names of its layers are those of no known network." in result.to_table()


def test_names_that_would_write_on_the_terminal_are_escaped(tmp_path):
    path = tmp_path / "vgg.pth"
    torch.save({"a\n\x1b[31m": torch.zeros(1)}, path)
    assert "'a\\n\\x1b[31m'" in drain(run(ImportConfig("torchvision", path))).to_table()


def test_mean_must_be_finite(tmp_path):
    path = tmp_path / "a.caffemodel"
    write_caffemodel(path, {"final": [np.zeros((3, 4096, 1, 1), np.float32)]})
    with pytest.raises(ConfigError, match=r"mean \(nan, 2\.0, 3\.0\) and std .* give finite numbers"):
        drain(run(ImportConfig("caffe", path, mean=(float("nan"), 2.0, 3.0))))


def test_prediction_from_a_caffemodel_says_how_to_import_it(tmp_path, capsys):
    (tmp_path / "a.png").touch()
    path = tmp_path / "a.caffemodel"
    write_caffemodel(path, {"final": [np.zeros(3, np.float32)]})
    assert main(["predict", str(tmp_path / "a.png"), "--checkpoint", str(path)]) == 1
    assert "bring it into one with atrous import caffe" in capsys.readouterr().err


def test_torchvision_state_dict_without_vgg16_is_reported(tmp_path):
    path = tmp_path / "resnet.pth"
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path)
    result = drain(run(ImportConfig("torchvision", path)))
    assert result.exit_code == 1
    assert result.counts()["unused"] == 1
    assert result.counts()["missing"] >= 26


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "keras", "network": "dilation8_voc"}, "network and mean are for a .caffemodel; keras"),
        ({"source": "torchvision", "mean": (1.0, 2.0, 3.0)}, "torchvision weights are VGG-16 with a known"),
        (
            {"source": "keras", "path": "a.caffemodel"},
            "a.caffemodel is no file of keras; run atrous import caffe",
        ),
        ({"source": "caffe", "output": "voc.pth"}, r"voc\.pth is no name of a \.safetensors file"),
    ],
)
def test_import_refuses_contradictions(arguments, message, tmp_path):
    paths = {name: Path(value) for name, value in arguments.items() if name in ("path", "output")}
    with pytest.raises(ConfigError, match=message):
        ImportConfig(**{"path": tmp_path / "a", **arguments, **paths})
