"""Large rasters through the command: killed, stopped, resumed, and measured from outside."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio")

from inference.raster_files import UTM, noise, write_geotiff  # noqa: E402 (needs rasterio)

MOST = 1500  # MiB in all, imports included


def large_raster(path: Path, height: int, width: int) -> Path:
    """Squares of 20 pixels, so that it compresses."""
    squares = noise(3, height // 20, width // 20)
    pixels = np.kron(squares, np.ones((1, 20, 20), np.uint8))
    return write_geotiff(path, pixels, tiled=True, compress="deflate", zlevel=1, **UTM)


def start(raster: Path, checkpoint: Path, output: Path, *flags: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "atrous", "predict", str(raster), "--checkpoint", str(checkpoint)]
    flags = (*flags, "-o", str(output), "--precision", "float32", "--device", "cpu")
    output.mkdir(exist_ok=True)
    with output.with_suffix(".said").open("w") as said:
        return subprocess.Popen([*command, *flags], stdout=said, stderr=said)


def wait_for_strips(process: subprocess.Popen, output: Path, count: int) -> list[Path]:
    """Until so many bands are done."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        strips = list(output.glob("*.parts/[!.]*.strip"))  # not one under way, which has a dot
        if len(strips) >= count:
            return strips
        time.sleep(0.01)
    pytest.fail(f"no {count} strips; {output.with_suffix('.said').read_text()}")


def labels_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as stored:
        return stored.read(1)


@pytest.fixture(scope="module")
def raster(tmp_path_factory) -> Path:
    return large_raster(tmp_path_factory.mktemp("raster") / "a.tif", 3000, 5000)


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.exhaustive)],  # as SIGTERM
)
def test_a_run_that_is_ended_goes_on_and_loses_at_most_a_band(tmp_path, raster, tiny_checkpoint, number):
    whole = start(raster, tiny_checkpoint, tmp_path / "whole")
    assert whole.wait(120) == 0
    ended = start(raster, tiny_checkpoint, tmp_path / "out")
    before = wait_for_strips(ended, tmp_path / "out", 2)
    ended.send_signal(number)
    assert ended.wait(60) == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    if number != signal.SIGKILL:
        said = (tmp_path / "out.said").read_text()
        assert re.search(
            r"stopped after 0 of 1 images and \d+ of 3000 rows of a.tif; add --resume to go on", said
        )
        assert "Traceback" not in said
    assert not (tmp_path / "out/a.tif").exists()
    kept = {path: path.stat().st_mtime_ns for path in before}
    resumed = start(raster, tiny_checkpoint, tmp_path / "out", "--resume")
    wait_for_strips(resumed, tmp_path / "out", len(before) + 1)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # nothing is done again
    assert resumed.wait(120) == 0
    assert np.mean(labels_of(tmp_path / "out/a.tif") == labels_of(tmp_path / "whole/a.tif")) > 0.99999
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.tif", "a.overlay.jpg"}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_height(tmp_path, tiny_checkpoint):
    raster = large_raster(tmp_path / "a.tif", 1200, 20_000)
    process = start(raster, tiny_checkpoint, tmp_path / "out")
    most = 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        most = max(most, int(status.partition("VmHWM:")[2].split()[0]) if "VmHWM" in status else 0)
        time.sleep(0.1)
    assert process.returncode == 0
    assert 100 < most / 1024 < MOST
