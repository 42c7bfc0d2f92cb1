"""What `atrous serve` bears: clients that send good and bad images for a minute to a real server.

Run it as `python benchmarks/serving.py --json serving.json` on an otherwise idle machine. First one client
sends good images, one after the other; then all clients at once send a mixture in which every second request
is bad: no image, cut short, a decompression bomb, too many pixels, an option that is none, or hangs up before
the answer. The network has fresh weights unless a checkpoint is given. Latency is that of good images.
Allowed is twice the unloaded one for each client; the server's memory is read from /proc once a second.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from atrous.checkpoint import save_checkpoint
from atrous.data.labels import LabelSet
from atrous.models.catalog import build_network, to_checkpoint
from atrous.web.server import bound

SIZE = (360, 480)  # height and width of the images, px
PATIENCE = 120.0  # seconds for a start, or an answer
HANGS_UP = 0.005  # seconds
EXPECTED = {200, 413, 415, 422, 503}
GROWTH = 1.1  # memory at the end by that after the first quarter of the load, at most


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured; latencies in seconds, memory in MB."""

    network: str
    clients: int
    seconds: float
    answers: dict[str, int]
    hung_up: int
    unloaded_p50: float
    unloaded_p95: float
    loaded_p50: float
    loaded_p95: float
    allowed_p95: float
    memory_start: float
    memory_quarter: float
    memory_end: float
    only_refusals: bool
    is_fast: bool
    is_flat: bool


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="of a network for images; a fresh one unless given")
    parser.add_argument("--network", default="compact_context", help="which fresh one")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = arguments.checkpoint or fresh(arguments.network, Path(folder))
        name = arguments.checkpoint.name if arguments.checkpoint else arguments.network
        with server(checkpoint) as (process, url):
            result = measure(url, process.pid, name, clients=arguments.clients, seconds=arguments.seconds)
    Console(width=110).print(table(result))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")


def fresh(name: str, folder: Path) -> Path:
    """A checkpoint with random weights."""
    torch.manual_seed(0)
    network = build_network(name, num_classes=11)
    labels = LabelSet.unnamed(11).to_dict()
    path = folder / "model.safetensors"
    save_checkpoint(path, to_checkpoint(network, name=name, labels=labels, progress={}))
    return path


@contextmanager
def server(checkpoint: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server on a free port."""
    with bound("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    words = ["serve", str(checkpoint), "--port", str(port), "--max-pixels", "1000000"]
    process = subprocess.Popen([sys.executable, "-m", "atrous", *words])
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + PATIENCE
        while not _answers(url):
            if time.monotonic() > end or process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.2)
        time.sleep(15)  # the CRF is compiled beside the first answers
        yield process, url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def measure(url: str, process: int, name: str, *, clients: int, seconds: float) -> Result:
    """One client alone, then all of them."""
    alone = Client(url, 0, mixed=False)
    alone.run(until=time.monotonic() + min(seconds, 15.0))
    memory = [_resident(process)]
    crowd = [Client(url, number, mixed=True) for number in range(clients)]
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=client.run, kwargs={"until": end}) for client in crowd]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(1)
        memory.append(_resident(process))
    answers = sum((client.answers for client in crowd), Counter())
    unloaded = np.percentile(alone.latencies, (50, 95))
    loaded = np.percentile([each for client in crowd for each in client.latencies], (50, 95))
    allowed, quarter = 2 * unloaded[1] * clients, memory[len(memory) // 4]
    return Result(
        network=name,
        clients=clients,
        seconds=seconds,
        answers={str(status): count for status, count in sorted(answers.items())},
        hung_up=sum(client.hung_up for client in crowd),
        unloaded_p50=round(float(unloaded[0]), 4),
        unloaded_p95=round(float(unloaded[1]), 4),
        loaded_p50=round(float(loaded[0]), 4),
        loaded_p95=round(float(loaded[1]), 4),
        allowed_p95=round(float(allowed), 4),
        memory_start=memory[0],
        memory_quarter=quarter,
        memory_end=memory[-1],
        only_refusals=set(answers) <= EXPECTED,
        is_fast=bool(loaded[1] <= allowed),
        is_flat=memory[-1] <= GROWTH * quarter,
    )


class Client:
    """Sends one request after the other and counts the answers."""

    def __init__(self, url: str, number: int, *, mixed: bool) -> None:
        self.url = url
        self.good, self.bad = _good(number), _bad(number)
        self.mixed = mixed
        self.answers: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.hung_up = 0

    def run(self, *, until: float) -> None:
        """Send until then."""
        with httpx.Client(timeout=PATIENCE) as http:
            number = 0
            while time.monotonic() < until:
                self._send_good(http, number)
                if self.mixed:
                    self._send_bad(http, number)
                number += 1

    def _send_good(self, http: httpx.Client, number: int) -> None:
        start = time.monotonic()
        form = ("png", "json", "overlay")[number % 3]
        files = {"image": self.good[number % len(self.good)]}
        answer = http.post(f"{self.url}/predict", files=files, data={"format": form})
        self.answers[answer.status_code] += 1
        if answer.status_code == 200:
            self.latencies.append(time.monotonic() - start)

    def _send_bad(self, http: httpx.Client, number: int) -> None:
        turn = number % (len(self.bad) + 2)
        if turn == len(self.bad):
            data = {"format": "nothing"}
            answer = http.post(f"{self.url}/predict", files={"image": self.good[0]}, data=data)
        elif turn > len(self.bad):
            try:
                httpx.post(f"{self.url}/predict", files={"image": self.good[0]}, timeout=HANGS_UP)
            except httpx.TimeoutException:
                self.hung_up += 1
            return
        else:
            answer = http.post(f"{self.url}/predict", files={"image": self.bad[turn]})
        self.answers[answer.status_code] += 1


def _good(seed: int) -> list[bytes]:
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 256, (SIZE[0] // 8, SIZE[1] // 8, 3), dtype=np.uint8)
    image = Image.fromarray(np.kron(blocks, np.ones((8, 8, 1), np.uint8)))
    return [_encoded(image, "PNG"), _encoded(image, "JPEG")]


def _bad(seed: int) -> list[bytes]:
    """No image, one cut short, a bomb, too many pixels."""
    whole = _good(seed)[0]
    header = whole[12:16] + (31_622).to_bytes(4, "big") * 2 + whole[24:29]
    bomb = whole[:12] + header + zlib.crc32(header).to_bytes(4, "big") + whole[33:]
    large = _encoded(Image.new("RGB", (1200, 1200)), "PNG")
    return [b"%PDF-1.7 is no image", whole[: len(whole) // 2], bomb, large]


def _encoded(image: Image.Image, kind: str) -> bytes:
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


def _resident(process: int) -> float:
    """Memory of a process, MB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def table(result: Result) -> Table:
    """Figures and verdicts."""
    drawn = Table(
        "what", "measured", "wanted", title=f"{result.network}, {result.clients} clients, {SIZE} px"
    )
    answers = ", ".join(f"{count} x {status}" for status, count in result.answers.items())
    drawn.add_row("answers", f"{answers}; {result.hung_up} hung up", "200 and refusals")
    drawn.add_row("latency alone, p50, p95", f"{result.unloaded_p50:.3f} s, {result.unloaded_p95:.3f} s", "")
    drawn.add_row(
        "latency under load, p50, p95",
        f"{result.loaded_p50:.3f} s, {result.loaded_p95:.3f} s",
        f"p95 <= {result.allowed_p95:.3f} s",
    )
    drawn.add_row(
        "memory: start, quarter, end",
        f"{result.memory_start} MB, {result.memory_quarter} MB, {result.memory_end} MB",
        f"end <= {GROWTH} x quarter",
    )
    verdict = [str(value) for value in (result.only_refusals, result.is_fast, result.is_flat)]
    drawn.add_row("only refusals, fast, flat", ", ".join(verdict), "True, True, True")
    return drawn


if __name__ == "__main__":
    main()
