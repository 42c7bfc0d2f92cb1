"""Time and memory of prediction, measured in a process of its own."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from atrous.config import from_dict, to_dict
from atrous.errors import AtrousError, ConfigError, OutputError

WARM_UP, LEAST, MOST = 2, 5, 50  # predictions before any counts; least and most that do
SECONDS = 5.0  # after which no further prediction begins


@dataclass(frozen=True, slots=True)
class PredictionCost:
    """How fast a network labels images, one at a time, and in how much memory.

    Attributes:
        images_per_second: Of the median image.
        peak_memory: Bytes that the process (on a GPU: the device) took at most, beyond those before the
            network was loaded; 0 where the system does not tell.
        image_size: Height and width in pixels of the images, or the sides of volumes in voxels.
        engine: What computed.
        threads: Of torch.
        others: Processor cores that other processes kept busy meanwhile, on average; None where the system
            does not tell.
    """

    images_per_second: float
    peak_memory: int
    image_size: tuple[int, ...]
    engine: str
    threads: int
    others: float | None = None


def measure_apart(checkpoint: Path, data: Path, split: str, *, device: str) -> PredictionCost:
    """Measure in a fresh process, so that nothing that ran before counts.

    Raises:
        ConfigError: If that process failed, with its reason.
    """
    words = [str(checkpoint), str(data), split, device]
    done = subprocess.run(
        [sys.executable, "-m", "atrous.jobs.prediction_cost", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = " ".join(done.stderr.splitlines()[-1:]) or f"exit code {done.returncode}"
        raise ConfigError(f"prediction with {checkpoint} could not be timed ({reason}); see `atrous predict`")
    return from_dict(PredictionCost, json.loads(done.stdout), source=str(checkpoint))


def measure(checkpoint: Path, data: Path, split: str, *, device: str) -> PredictionCost:
    """Label the first image of the split again and again, in float32; for a process that did nothing else."""
    import torch

    from atrous.data.open import open_dataset
    from atrous.jobs.inference_settings import InferenceSettings

    sample = open_dataset(data, split)[0]
    image = sample.image
    before = _peak()
    predictor = InferenceSettings(device=device).predictor(checkpoint)
    for _ in range(WARM_UP):
        _ = predictor(image).label_map
    seconds: list[float] = []
    started, busy, own = time.perf_counter(), _busy_seconds(), time.process_time()
    while len(seconds) < LEAST or (len(seconds) < MOST and time.perf_counter() - started < SECONDS):
        begun = time.perf_counter()
        _ = predictor(image).label_map
        seconds.append(time.perf_counter() - begun)
    wall, own = time.perf_counter() - started, time.process_time() - own
    after = _busy_seconds()
    on_gpu = predictor.device.type == "cuda"
    return PredictionCost(
        images_per_second=1 / sorted(seconds)[len(seconds) // 2],
        peak_memory=torch.cuda.max_memory_allocated() if on_gpu else _peak() - before,
        image_size=sample.labels.shape,
        engine=predictor.engine.description,
        threads=torch.get_num_threads(),
        others=None if busy is None or after is None else max(0.0, after - busy - own) / wall,
    )


def _peak() -> int:
    """Most bytes of memory that this process had so far; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return 1024 * int(status.read_text(encoding="ascii").split("VmHWM:")[1].split()[0])


def _busy_seconds() -> float | None:
    """Seconds that all processor cores together were busy since the system started, where it tells."""
    import os

    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _, _, irq, soft_irq, *_ = map(int, stat.read_text(encoding="ascii").split()[1:9])
    return (user + nice + system + irq + soft_irq) / os.sysconf("SC_CLK_TCK")


def read_cost(path: Path) -> PredictionCost:
    """Figures that were measured before.

    Raises:
        OutputError: If the file holds none.
    """
    try:
        return from_dict(PredictionCost, dict(json.loads(path.read_text(encoding="utf-8"))), source=str(path))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise OutputError(
            f"{path} holds no figures ({type(error).__name__}); remove it, and they are measured again"
        ) from error


def main(words: list[str]) -> int:
    """Write the figures as JSON to standard output, or why not to standard error."""
    checkpoint, data, split, device = words
    try:
        cost = measure(Path(checkpoint), Path(data), split, device=device)
        sys.stdout.write(json.dumps(to_dict(cost)))
    except AtrousError as error:
        sys.stderr.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
