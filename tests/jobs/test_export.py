"""Files that are written, read back, compared, and used in the place of their checkpoint."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.checkpoint import load_checkpoint, save_checkpoint
from atrous.cli import main
from atrous.crf.dense_crf import DenseCRF
from atrous.crf.kernels import Bilateral, Spatial
from atrous.crf.rnn import CRFRNN
from atrous.crf.stored import with_crf
from atrous.data.open import open_dataset
from atrous.errors import ConfigError, GeometryError, OutputError, SurgeryError
from atrous.evaluation.evaluate import evaluate
from atrous.export.card import KEY
from atrous.export.program import Program
from atrous.inference.exported import ExportedNetwork
from atrous.inference.predictor import Predictor
from atrous.jobs.export import ExportConfig, export
from atrous.models.catalog import build_network, to_checkpoint

FILES = {"onnx": "x.onnx", "openvino": "x.xml", "program": "x.pt2"}
KERNELS = [Spatial(2, 1.0), Bilateral(8, 30, 3.0)]
pytestmark = pytest.mark.slow


@pytest.fixture
def exported(tmp_path, tiny_checkpoint):
    def make(**settings):
        config = ExportConfig(tiny_checkpoint, **settings)
        return export(replace(config, output=tmp_path / FILES[config.format]))

    return make


@pytest.mark.parametrize(
    ("format_name", "raw", "result"),
    [
        ("onnx", False, "logits"),
        ("onnx", True, "labels"),
        ("openvino", False, "labels"),
        ("openvino", True, "probabilities"),
    ],
)
def test_predictor_says_the_same_of_a_file(exported, tiny_checkpoint, format_name, raw, result):
    file = exported(format=format_name, raw=raw, result=result).written[0]
    ours, theirs = Predictor(tiny_checkpoint), Predictor(file)
    assert theirs.label_set == ours.label_set
    for size in [(33, 47), (64, 20)]:
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        truth, found = ours(image), theirs(image)
        assert (truth.label_map == found.label_map).mean() > 0.999
        if result == "labels":
            assert set(np.unique(found.probabilities().round(6))) == {0.0, 1.0}
        else:
            np.testing.assert_allclose(found.probabilities(), truth.probabilities(), atol=1e-5)


def test_program_is_read_back_with_its_card(exported, tiny_checkpoint):
    result = exported(format="program", raw=True, result="labels")
    program = Program(result.written[0])
    image = np.random.default_rng(0).integers(0, 256, (33, 47, 3), dtype=np.uint8)
    labels = program(torch.from_numpy(image).permute(2, 0, 1)[None])[0].numpy()
    assert (labels == Predictor(tiny_checkpoint)(image).label_map).all()
    assert program.card.network == "compact"
    with pytest.raises(GeometryError, match=r"takes no input of 1 x 1 \(Guard failed"):
        program(torch.zeros(1, 3, 1, 1, dtype=torch.uint8))


def test_metadata_tell_other_programs_what_they_need(exported):
    import onnx

    path = exported(raw=True, result="labels").written[0]
    proto = onnx.load(path)
    stored = {entry.key: entry.value for entry in proto.metadata_props}
    assert json.loads(stored["classes"]) == ["ground", "wall", "sky"]
    assert stored["gives"] == "labels"
    assert KEY in stored
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["batch", 3, "height", "width"]
    assert [entry.version for entry in proto.opset_import if entry.domain == ""] == [20]


def test_what_differs_too_much_leaves_only_its_report(exported, tmp_path):
    with pytest.raises(SurgeryError, match=r"largest difference .* Nothing was written but"):
        exported(tolerance=0.0)
    assert not (tmp_path / "x.onnx").exists()
    assert not (tmp_path / "x.onnx.parity.json").exists()
    report = json.loads((tmp_path / "x.onnx.failed.parity.json").read_text())
    assert not report["parity"]["holds"]
    assert report["written"] == []
    assert report["parity"]["largest_difference"] > 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_int8_agrees_and_is_another_file(exported, tiny_data):
    calibration = tiny_data / "train" / "images"
    result = exported(format="openvino", precision="int8", calibration=calibration, least_agreement=0.5)
    assert result.parity.agreement is not None
    assert result.parity.largest_difference is not None
    assert result.parity.agreement > 0.8
    assert result.parity.largest_difference > 1e-4  # it does compute in int8
    assert "calibrated on, since they are fewer than 5" in result.notes[0]
    assert "int8" in Predictor(result.written[0]).engine.description


def test_evaluate_scores_a_file_as_its_checkpoint(exported, tiny_data, tiny_checkpoint):
    data = open_dataset(tiny_data, "val")
    scores = [evaluate(Predictor(path), data) for path in (tiny_checkpoint, exported().written[0])]
    assert scores[0].mean_iou == pytest.approx(scores[1].mean_iou, abs=1e-3)


@pytest.mark.parametrize("learned", [False, True])
def test_stored_crf_is_applied_all_the_same(exported, tiny_checkpoint, learned):
    crf = CRFRNN(num_classes=3, kernels=KERNELS) if learned else DenseCRF(KERNELS, num_steps=2)
    if isinstance(crf, CRFRNN):
        torch.nn.init.normal_(crf.compatibility)
    save_checkpoint(tiny_checkpoint, with_crf(load_checkpoint(tiny_checkpoint), crf))
    result = exported()
    assert "atrous predict applies it" in result.notes[0]
    image = np.random.default_rng(0).integers(0, 256, (33, 47, 3), dtype=np.uint8)
    truth, found = Predictor(tiny_checkpoint)(image), Predictor(result.written[0])(image)
    np.testing.assert_allclose(found.probabilities(), truth.probabilities(), atol=1e-4)


def test_large_images_go_through_a_file_in_tiles(exported, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (150, 130, 3), dtype=np.uint8)
    predictor = Predictor(exported(raw=True).written[0])
    whole = predictor.scores(image)
    monkeypatch.setattr("atrous.inference.predictor.WHOLE_PIXELS", 1000)
    monkeypatch.setattr("atrous.inference.bands.TILE_MEMORY", 1 << 20)
    calls = []
    network = predictor.network
    assert isinstance(network, ExportedNetwork)
    network.register_forward_hook(lambda *given: calls.append(given[1][0].shape))
    torch.testing.assert_close(predictor.scores(image), whole, rtol=0, atol=1e-4)
    assert len(calls) > 1


def test_command_line_predicts_from_a_file(exported, tiny_data, tmp_path, capsys):
    file = exported(raw=True, result="labels").written[0]
    images = str(tiny_data / "val" / "images")
    assert main(["predict", images, "--checkpoint", str(file), "-o", str(tmp_path / "out")]) == 0
    with Image.open(tmp_path / "out" / "val0.png") as written:
        assert written.size == (64, 48)
    assert main(["predict", images, "--checkpoint", str(file), "--crf", "-o", str(tmp_path / "crf")]) == 1
    assert "gives labels, and a CRF needs scores" in capsys.readouterr().err


def test_files_are_not_replaced_unless_told(exported):
    first = exported()
    with pytest.raises(OutputError, match="add --overwrite"):
        exported()
    assert exported(overwrite=True).written == first.written


def test_regressions_and_volumes_are_exported(tmp_path):
    from atrous.data.quantity import DEPTH

    torch.manual_seed(0)
    for name, labels, settings in [
        ("compact_regressor", DEPTH.to_dict(), {"result": "values", "raw": True}),
        ("context3d", {"names": ["a", "b", "c"], "palette": [[0, 0, 0], [1, 1, 1], [2, 2, 2]]}, {}),
    ]:
        network = build_network(name, num_classes=1 if name == "compact_regressor" else 3)
        path = tmp_path / f"{name}.safetensors"
        save_checkpoint(path, to_checkpoint(network, name=name, labels=labels, progress={}))
        result = export(ExportConfig(path, **settings))
        assert result.parity.holds
    image = np.random.default_rng(0).integers(0, 256, (33, 47, 3), dtype=np.uint8)
    files = [tmp_path / f"compact_regressor{ending}" for ending in (".safetensors", ".onnx")]
    truth, found = (Predictor(path)(image).values for path in files)
    np.testing.assert_allclose(found, truth, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "int8"}, "written for OpenVINO only"),
        ({"precision": "int8", "format": "openvino"}, "give both, --precision int8 and --calibration"),
        ({"calibration": "images", "format": "openvino"}, "give both"),
        ({"output": "x.xml"}, r"does not end in \.onnx"),
        ({"least_agreement": 95.0}, "an agreement a share, 0 to 1"),
        ({"tolerance": float("nan")}, "a tolerance is 0 or more"),
    ],
)
def test_contradicting_settings_are_refused(tiny_checkpoint, tmp_path, settings, message):
    paths = {name: tmp_path / settings[name] for name in ("calibration", "output") if name in settings}
    with pytest.raises(ConfigError, match=message):
        ExportConfig(tiny_checkpoint, **{**settings, **paths})
