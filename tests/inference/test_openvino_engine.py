"""OpenVINO says what torch says; compiled models come back from disk, and never those of other weights."""

import subprocess
import sys

import pytest
import torch

from atrous.errors import ConfigError
from atrous.export.openvino_package import load_openvino
from atrous.inference.engines import build_engine
from atrous.inference.openvino_engine import OpenVINOEngine
from atrous.models.catalog import build_network
from inference.networks import narrow_front_end
from inference.pictures import write_images

pytest.importorskip("openvino", reason="needs the extra openvino")

CPU = torch.device("cpu")


def compact(seed: int = 0):
    torch.manual_seed(seed)
    return build_network("compact", num_classes=4).eval()


def norm_ratio(given: torch.Tensor, expected: torch.Tensor) -> float:
    return float((given - expected).norm() / expected.norm())


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "engines"


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.03)])
@torch.inference_mode()
@pytest.mark.slow
def test_openvino_says_what_torch_says(precision, tolerance, cache):
    network = compact()
    engine = build_engine(network, engine="openvino", precision=precision, device=CPU, cache_folder=cache)
    for size in ((41, 54), (40, 64)):
        images = torch.randn(2, 3, *size).contiguous(memory_format=torch.channels_last) * 2
        logits = engine(images)
        assert logits.dtype == torch.float32
        assert norm_ratio(logits, network(images)) < tolerance
    first = engine(images)
    kept = first.clone()
    engine(torch.randn(2, 3, 40, 64))
    assert torch.equal(first, kept)  # no view of memory that the next image overwrites
    assert precision in engine.description
    assert engine.description.startswith("OpenVINO 20")


@torch.inference_mode()
def test_auto_takes_openvino_where_sizes_repeat(cache):
    network = compact()
    engine = build_engine(network, device=CPU, sizes_repeat=True, cache_folder=cache)
    assert engine.description.startswith("OpenVINO")
    assert build_engine(network, device=CPU, cache_folder=cache).description.startswith("torch")


@pytest.mark.slow
@torch.inference_mode()
def test_networks_with_a_margin_are_compiled_with_it(cache):
    network = narrow_front_end(3).eval()
    engine = build_engine(network, engine="openvino", precision="float32", device=CPU, cache_folder=cache)
    images = torch.randn(1, 3, 372 + 21, 372 + 30) * 60
    assert engine(images).shape == (1, 3, 3, 4)
    assert norm_ratio(engine(images), network(images)) < 1e-4


@pytest.mark.slow
@torch.inference_mode()
def test_a_compiled_model_comes_back_from_disk(cache, capfd):
    network, images = compact(), torch.randn(1, 3, 32, 40)
    logits = openvino(network, cache)(images)
    (blob,) = cache.glob("*.blob")
    written = blob.stat().st_ino
    again = openvino(network, cache)
    assert torch.equal(again(images), logits)
    assert [path.stat().st_ino for path in cache.glob("*.blob")] == [written]
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@torch.inference_mode()
def test_changed_weights_are_never_served_from_disk(cache):
    network, images = compact(), torch.randn(1, 3, 32, 40)
    stale = openvino(network, cache)(images)
    network.get_parameter("layers.conv1_1.weight").mul_(1.5)
    fresh = openvino(network, cache)(images)
    assert norm_ratio(fresh, network(images)) < 1e-5
    assert norm_ratio(stale, fresh) > 1e-2
    assert len(list(cache.glob("*.blob"))) == 2


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b"", marks=pytest.mark.slow, id="cut"),
        pytest.param(b"nonsense" * 99, marks=pytest.mark.slow, id="other"),
    ],
)
@torch.inference_mode()
def test_a_damaged_file_is_replaced(cache, damage):
    network, images = compact(), torch.randn(1, 3, 32, 40)
    logits = openvino(network, cache)(images)
    (blob,) = cache.glob("*.blob")
    size = blob.stat().st_size
    blob.write_bytes(damage or blob.read_bytes()[: size // 2])
    assert torch.equal(openvino(network, cache)(images), logits)
    assert blob.stat().st_size == size


@pytest.mark.slow
@torch.inference_mode()
def test_int8_is_calibrated_once_and_reports_its_labels(tmp_path, cache, capfd):
    pytest.importorskip("nncf", reason="needs the extra openvino")
    network, images = compact(), torch.randn(1, 3, 24, 32)
    folder = write_images(tmp_path / "images", 6)
    engine = int8(network, folder, cache)
    logits = engine(images)
    assert norm_ratio(logits, network(images)) < 0.2
    assert engine.agreement is not None
    assert 0.8 < engine.agreement.share <= 1
    assert engine.agreement.num_images == 1
    assert "int8 calibrated on 5 images of" in engine.description
    assert "of labels as in float32 on 1 image beside them" in engine.description
    again = int8(network, folder, cache)
    assert torch.equal(again(images), logits)
    assert again.agreement == engine.agreement
    assert len(list(cache.glob("*.blob"))) == 1
    (folder / "001.png").unlink()
    int8(network, folder, cache)(images)
    assert len(list(cache.glob("*.blob"))) == 2
    assert capfd.readouterr() == ("", "")


def test_int8_refuses_a_folder_without_images(tmp_path):
    pytest.importorskip("nncf", reason="needs the extra openvino")
    with pytest.raises(ConfigError, match="no image in"):
        build_engine(compact(), precision="int8", device=CPU, calibration=tmp_path)


@pytest.mark.slow
def test_openvino_and_nncf_are_imported_without_a_word_and_without_telemetry():
    pytest.importorskip("nncf", reason="needs the extra openvino")
    program = (
        "import sys; from atrous.export.openvino_package import load_nncf, load_openvino; "
        "load_openvino(); load_nncf(); assert 'openvino_telemetry' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")


ENGINE_OF_ANOTHER_THREAD = """
import signal, threading, torch
from atrous.inference.openvino_engine import OpenVINOEngine
from atrous.models.catalog import build_network
engines = [OpenVINOEngine(build_network("compact", num_classes=2).eval(), precision="float32")]
engines[0](torch.zeros(1, 3, 16, 16))
thread = threading.Thread(target=engines.clear)
thread.start()
thread.join()
signal.signal(signal.SIGINT, lambda *_: print("heard"))
signal.raise_signal(signal.SIGINT)
"""


@pytest.mark.slow
def test_a_signal_is_heard_after_another_thread_let_the_engine_go():
    run = subprocess.run([sys.executable, "-c", ENGINE_OF_ANOTHER_THREAD], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "heard\n")


def test_a_missing_package_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r'openvino cannot be imported .* pip install "atrous\[openvino\]"'):
        load_openvino()


def openvino(network, cache):
    return build_engine(network, engine="openvino", precision="float32", device=CPU, cache_folder=cache)


def int8(network, folder, cache) -> OpenVINOEngine:
    engine = build_engine(network, precision="int8", device=CPU, calibration=folder, cache_folder=cache)
    assert isinstance(engine, OpenVINOEngine)
    return engine
