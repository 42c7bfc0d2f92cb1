"""How long mean field and CRF-RNN take, and how much memory, next to pydensecrf where that is installed.

Run it as `python benchmarks/crf.py --json crf.json` on an otherwise idle machine: two threads that wait for
each other suffer from a third more than in proportion. Same photo, scores and settings; runs alternate, and
ratios are those of neighboring runs.
"""

import argparse
import importlib
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.nn import functional

from atrous.crf.inference_steps import build_filters, refine_logits
from atrous.crf.kernels import Bilateral, Spatial
from atrous.crf.rnn import CRFRNN

REPEATS = 7
SIZES = ((500, 375), (1280, 720))  # width, height
NUM_CLASSES, NUM_STEPS = 21, 10
TRAINING_STEPS = 5  # of CRF-RNN
KERNELS = (Spatial(sigma=3, weight=3), Bilateral(sigma_xy=80, sigma_rgb=13, weight=10))
Timed = Callable[[np.ndarray, np.ndarray], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Row:
    """One size and number of threads: medians in ms, and pydensecrf's time by ours with its spread.

    `memory` is in MiB, the peak above that of the inputs.
    """

    size: tuple[int, int]
    threads: int
    build: float
    steps: float
    their_build: float | None
    their_steps: float | None
    ratio: float | None
    spread: tuple[float, float] | None
    memory: float
    their_memory: float | None


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """CRF-RNN in training mode: medians in ms, beside pydensecrf's for as many steps, without gradients."""

    threads: int
    forward: float
    both: float
    theirs: float | None
    forward_ratio: float | None
    both_ratio: float | None


def scene(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo uint8 (h, w, 3) and scores (k, h, w) as coarse as a network's."""
    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as photo:
        image = np.array(photo.convert("RGB").resize((width, height)))
    generator = torch.Generator().manual_seed(0)
    coarse = 2 * torch.randn(1, NUM_CLASSES, 12, 16, generator=generator)
    smooth = functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return image, (smooth + torch.randn(smooth.shape, generator=generator) / 2)[0].numpy()


def run_ours(image: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Seconds of building and of all steps."""
    start = time.perf_counter()
    logits, images = torch.from_numpy(scores)[None], torch.from_numpy(image).permute(2, 0, 1)[None]
    filters = build_filters(logits, images, kernels=KERNELS)
    built = time.perf_counter()
    weights = torch.tensor([kernel.weight for kernel in KERNELS])
    refined = refine_logits(logits, filters, weights=weights, num_steps=NUM_STEPS)
    refined.movedim(1, -1).softmax(-1)  # along memory, as mean_field does
    return built - start, time.perf_counter() - built


def run_training(image: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Seconds of CRF-RNN forward, and of its backward pass."""
    layer = CRFRNN(num_classes=NUM_CLASSES, kernels=KERNELS, num_steps=TRAINING_STEPS)
    logits = torch.from_numpy(scores)[None].requires_grad_()
    start = time.perf_counter()
    loss = layer(logits, torch.from_numpy(image).permute(2, 0, 1)[None]).square().mean()
    forward = time.perf_counter()
    loss.backward()
    return forward - start, time.perf_counter() - forward


def run_theirs(image: np.ndarray, scores: np.ndarray, *, num_steps: int = NUM_STEPS) -> tuple[float, float]:
    """The same of pydensecrf, which has one thread."""
    pydensecrf = importlib.import_module("pydensecrf.densecrf")
    start = time.perf_counter()
    height, width, _ = image.shape
    crf = pydensecrf.DenseCRF2D(width, height, len(scores))
    crf.setUnaryEnergy(-scores.reshape(len(scores), -1))
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image, compat=10)
    built = time.perf_counter()
    np.array(crf.inference(num_steps))
    return built - start, time.perf_counter() - built


def peak(run: str, size: tuple[int, int], threads: int) -> float:
    """MiB that a run needs in a process of its own."""
    command = [sys.executable, __file__, "--peak", run, *map(str, (*size, threads))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(run: str, width: int, height: int, threads: int) -> None:
    """Body of `peak`, on Linux: how far the process grows above its inputs and the libraries."""
    torch.set_num_threads(threads)
    runs: dict[str, Timed] = {"ours": run_ours, "theirs": run_theirs}
    runs[run](*scene(32, 32))  # loads libraries
    image, _ = scene(width, height)
    scores = np.random.default_rng(0).standard_normal((NUM_CLASSES, height, width), dtype=np.float32)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak so far
    before = _highest()
    runs[run](image, scores)
    print((_highest() - before) / 1024)


def _highest() -> int:
    """The largest resident size so far, in KiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def measure(size: tuple[int, int], threads: int, has_theirs: bool) -> Row:  # noqa: FBT001
    """Alternate runs on one image."""
    torch.set_num_threads(threads)
    image, scores = scene(*size)
    run_ours(image, scores)  # compiles or loads
    ours, theirs = [], []
    for _ in range(REPEATS):
        ours.append(run_ours(image, scores))
        if has_theirs:
            theirs.append(run_theirs(image, scores))
    ratios = sorted(sum(other) / sum(own) for own, other in zip(ours, theirs, strict=False))
    build, steps = _medians(ours)
    return Row(
        size,
        threads,
        build,
        steps,
        *(_medians(theirs) if theirs else (None, None)),
        ratio=statistics.median(ratios) if ratios else None,
        spread=(ratios[0], ratios[-1]) if ratios else None,
        memory=peak("ours", size, threads),
        their_memory=peak("theirs", size, threads) if has_theirs else None,
    )


def measure_training(threads: int, has_theirs: bool) -> TrainingRow:  # noqa: FBT001
    """Alternate runs of CRF-RNN and pydensecrf."""
    torch.set_num_threads(threads)
    image, scores = scene(*SIZES[0])
    run_training(image, scores)
    forward, both, theirs = [], [], []
    for _ in range(REPEATS):
        times = run_training(image, scores)
        forward.append(1e3 * times[0])
        both.append(1e3 * sum(times))
        if has_theirs:
            theirs.append(1e3 * sum(run_theirs(image, scores, num_steps=TRAINING_STEPS)))
    ratios = (
        statistics.median(other / own for own, other in zip(ours, theirs, strict=True)) if theirs else None
        for ours in (forward, both)
    )
    known = statistics.median(theirs) if theirs else None
    return TrainingRow(threads, statistics.median(forward), statistics.median(both), known, *ratios)


def _medians(times: list[tuple[float, float]]) -> tuple[float, float]:
    build, steps = (1e3 * statistics.median(part) for part in zip(*times, strict=True))
    return build, steps


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--peak", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(arguments.peak[0], *map(int, arguments.peak[1:]))
        return
    has_theirs = importlib.util.find_spec("pydensecrf") is not None
    rows = [measure(size, threads, has_theirs) for size in SIZES for threads in arguments.threads]
    training = [measure_training(threads, has_theirs) for threads in arguments.threads]
    console = Console(width=110)
    console.print(inference_table(rows))
    console.print(training_table(training))
    if arguments.json is not None:
        tables = {"mean_field": [*map(asdict, rows)], "crf_rnn": [*map(asdict, training)]}
        arguments.json.write_text(json.dumps(tables, indent=2) + "\n", encoding="utf-8")


def inference_table(rows: list[Row]) -> Table:
    """Mean field."""
    columns = ("size", "threads", "build + steps, ms", "pydensecrf", "times faster", "MiB", "pydensecrf")
    table = Table(*columns, title=f"{NUM_CLASSES} classes, {NUM_STEPS} steps, both kernels")
    for row in rows:
        low, high = row.spread or (0, 0)
        known = row.spread is not None
        table.add_row(
            " x ".join(map(str, row.size)),
            str(row.threads),
            f"{row.build:.0f} + {row.steps:.0f}",
            f"{row.their_build:.0f} + {row.their_steps:.0f}" if known else "not installed",
            f"{row.ratio:.2f} ({low:.2f} to {high:.2f})" if known else "",
            f"{row.memory:.0f}",
            f"{row.their_memory:.0f}" if known else "",
        )
    return table


def training_table(rows: list[TrainingRow]) -> Table:
    """CRF-RNN."""
    columns = ("threads", "forward, ms", "and backward", "pydensecrf", "times faster")
    table = Table(*columns, title=f"CRF-RNN in training, {TRAINING_STEPS} steps, {SIZES[0]}")
    for row in rows:
        known = row.theirs is not None
        table.add_row(
            str(row.threads),
            f"{row.forward:.0f}",
            f"{row.both:.0f}",
            f"{row.theirs:.0f}" if known else "not installed",
            f"{row.forward_ratio:.2f}, {row.both_ratio:.2f}" if known else "",
        )
    return table


if __name__ == "__main__":
    main()
