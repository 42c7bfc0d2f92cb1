"""Works on a real cluster of Ray on this machine: same results, also when workers are killed."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.errors import ConfigError, OutputError
from atrous.inference.cluster import Share, share_out
from atrous.inference.ledger import TRIES, Ledger
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.predict import PredictConfig, run
from atrous.jobs.progress import drain

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")  # of one part of Ray at another

PATIENCE = 120  # s
KILLER = """
import os
from dataclasses import dataclass
from atrous.inference.image_work import ImageWork

@dataclass(frozen=True, slots=True)
class Killer(ImageWork):
    def predict(self, predictor, content):
        os.kill(os.getpid(), 9)
        yield
"""


def test_workers_get_whole_processors_of_one_machine_each():
    assert share_out([2], 0, workers=0) == Share(1, 2)
    assert share_out([1], 0, workers=0) == Share(1, 1)
    assert share_out([2], 0, workers=2) == Share(2, 1)
    assert share_out([5, 1], 0, workers=3) == Share(3, 1)
    assert share_out([8, 8], 4, workers=0) == Share(4, 4, 1)
    assert share_out([8, 8], 2, workers=4) == Share(4, 4, 0.5)
    with pytest.raises(ConfigError, match="3 workers for 2 processors"):
        share_out([2], 0, workers=3)


def test_a_ledger_counts_tries_and_remembers_what_is_over():
    ledger = Ledger()
    assert [ledger.begin(3) for _ in range(3)] == [0, 1, 2]
    ledger.finish(3, "")
    ledger.finish(4, "broken")
    assert ledger.finished([2, 3, 4]) == {3: "", 4: "broken"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """16 images, and a broken one in their middle."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(16):
        pixels = np.random.default_rng(number).integers(0, 256, (160, 240, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    (folder / "08x.png").write_bytes((folder / "08.png").read_bytes()[:5000])
    return folder


@pytest.fixture
def config(tmp_path, tiny_checkpoint, photos, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    cpu = InferenceSettings(device="cpu")
    return PredictConfig((str(photos),), tiny_checkpoint, tmp_path / "out", inference=cpu, distribute="ray")


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def workers_of(ancestor):
    """Process numbers of the living workers that a process or its children started."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                names[int(entry.name)] = (entry / "cmdline").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue

    def is_ours(number):
        return number == ancestor or (number in parents and is_ours(parents[number]))

    return [number for number, name in names.items() if "MapWorker" in name and is_ours(number)]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.exhaustive), 2])
def test_the_results_are_those_of_one_process_even_if_a_worker_is_killed(config, workers, capfd):
    if workers > (os.cpu_count() or 1):
        pytest.skip("needs two processors")
    alone = replace(config, distribute="no", output=config.output.with_name("alone"))
    expected = drain(run(alone))
    job = run(replace(config, workers=workers))
    said = [next(job)]
    (victim, *_) = workers_of(os.getpid())
    os.kill(victim, signal.SIGKILL)
    while True:
        try:
            said.append(next(job))
        except StopIteration as stop:
            result = stop.value
            break
    assert [each.done for each in said] == list(range(1, 18))
    assert contents(config.output) == contents(alone.output)
    assert len(result.written) == len(expected.written) == 32
    assert list(result.failed) == list(expected.failed)
    assert capfd.readouterr().out == ""
    again = drain(run(replace(config, distribute="no", resume=True)))
    assert (len(again.skipped), again.written, len(again.failed)) == (16, (), 1)


@pytest.mark.slow
def test_an_output_that_cannot_be_written_is_one_error(config):
    (config.output / "03.png").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"cannot write .*03\.png") as caught:
        drain(run(replace(config, overwrite=True)))
    assert "\n" not in str(caught.value)
    assert not list(config.output.glob(".*"))


@pytest.mark.slow
def test_a_work_that_kills_its_workers_is_given_up(config, tmp_path, monkeypatch):
    from atrous.inference.batch import Network, predict_on_cluster
    from atrous.inference.image_work import ImageWork

    (tmp_path / "killer.py").write_text(KILLER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    killer = __import__("killer").Killer
    photo = Path(config.images[0]) / "00.png"
    works = [ImageWork(photo, tmp_path / f"{number}.png") for number in range(3)]
    works[1] = killer(photo, tmp_path / "never.png")
    network = Network(config.checkpoint, config.inference.predictor)
    outcomes = sorted(predict_on_cluster(works, network, workers=1), key=lambda outcome: outcome.number)
    assert f"each of the {TRIES} times that a worker died" in outcomes[1].error
    assert [outcome.number for outcome in outcomes] == [0, 1, 2]
    assert not outcomes[0].error
    assert (tmp_path / "0.png").exists()


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_resume_goes_on(config):
    words = ["predict", *config.images, "--checkpoint", str(config.checkpoint), "-o", str(config.output)]
    command = [
        sys.executable,
        "-m",
        "atrous",
        *words,
        "--device",
        "cpu",
        "--precision",
        "float32",
        "--distribute",
        "ray",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    started = time.monotonic()
    while not list(config.output.glob("*.png")) and time.monotonic() < started + PATIENCE:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert output == ""
    assert "--resume to go on" in errors.splitlines()[-1]
    assert not list(config.output.glob(".*"))
    result = drain(run(replace(config, distribute="no", resume=True)))
    assert result.skipped
    assert len(result.skipped) + len(result.written) // 2 == 16


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_one_line(config, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
        drain(run(config))
