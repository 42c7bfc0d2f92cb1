"""Services and servers for tests: small networks, real sockets, real processes."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import httpx
import numpy as np
import torch
from PIL import Image

from atrous.checkpoint import save_checkpoint
from atrous.data.labels import LabelSet
from atrous.data.quantity import DEPTH
from atrous.inference.predictor import Predictor
from atrous.models.catalog import build_network, to_checkpoint
from atrous.models.regressor import compact_regressor
from atrous.web.app import Service
from atrous.web.examples import draw_examples
from atrous.web.labeler import Labeler
from atrous.web.limits import Limits
from atrous.web.line import Line
from atrous.web.results import Results
from atrous.web.sight import Looker

LABELS = LabelSet(("ground", "wall", "sky"), ((90, 60, 30), (200, 40, 40), (40, 80, 220)))
PATIENCE = 90.0  # seconds for a server to start on a busy machine


def small_predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(build_network("compact", num_classes=3), label_set=LABELS, device="cpu")


def depth_predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(compact_regressor(1), label_set=DEPTH, device="cpu")


def service_of(predictor: Predictor, limits: Limits | None = None) -> Service:
    limits = limits or Limits()
    return Service(
        Labeler(predictor, network="compact", limits=limits),
        Looker(predictor),
        limits,
        Line(concurrency=limits.concurrency, waiting=limits.queue),
        Results(max_bytes=10**8, seconds=60.0),
        draw_examples(predictor.quantity),
    )


def save_small(path: Path) -> Path:
    torch.manual_seed(0)
    network = build_network("compact", num_classes=3)
    save_checkpoint(path, to_checkpoint(network, name="compact", labels=LABELS.to_dict(), progress={}))
    return path


def noise(height: int = 48, width: int = 64, *, seed: int = 0) -> np.ndarray:
    """Blocks of color."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (-(-height // 16), -(-width // 16), 3), dtype=np.uint8)
    return np.kron(small, np.ones((16, 16, 1), np.uint8))[:height, :width]


def as_file(image: np.ndarray, kind: str = "PNG", **options) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, kind, **options)
    return encoded.getvalue()


def bomb() -> bytes:
    """A PNG of a few hundred bytes whose header speaks of 10^9 pixels."""
    whole = as_file(np.zeros((1, 1, 3), np.uint8))
    header = whole[12:16] + (31_622).to_bytes(4, "big") * 2 + whole[24:29]
    return whole[:12] + header + zlib.crc32(header).to_bytes(4, "big") + whole[33:]


@contextmanager
def running(
    checkpoint: Path,
    *flags: str,
    environment: MappingProxyType[str, str] | dict[str, str] = MappingProxyType({}),
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A real `atrous serve` and its address; killed at the end if it still lives."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "atrous", "serve", str(checkpoint), "--port", str(port), *flags],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(process, url)
        yield process, url
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_for(process: subprocess.Popen[str], url: str) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            assert process.stdout is not None
            raise AssertionError(f"the server ended: {process.stdout.read()}")
        try:
            httpx.get(f"{url}/health", timeout=5)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"no answer at {url} after {PATIENCE} s")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]
