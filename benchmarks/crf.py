"""How long mean field takes, and how much memory, next to pydensecrf where that is installed.

Run it as `python -P benchmarks/crf.py --json crf.json` on an otherwise idle machine: two threads that wait
for each other suffer from a third more than in proportion. (-P hides coverage.py of this folder from numba,
which looks for a module of that name.) Same photo, scores and settings; runs alternate, and ratios are those
of neighboring runs.
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

REPEATS = 7
SIZES = ((500, 375), (1280, 720))  # width, height
NUM_CLASSES, NUM_STEPS = 21, 10
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


def run_theirs(image: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """The same of pydensecrf, which has one thread."""
    pydensecrf = importlib.import_module("pydensecrf.densecrf")
    start = time.perf_counter()
    height, width, _ = image.shape
    crf = pydensecrf.DenseCRF2D(width, height, len(scores))
    crf.setUnaryEnergy(-scores.reshape(len(scores), -1))
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image, compat=10)
    built = time.perf_counter()
    np.array(crf.inference(NUM_STEPS))
    return built - start, time.perf_counter() - built


def peak(run: str, size: tuple[int, int], threads: int) -> float:
    """MiB that a run needs in a process of its own."""
    command = [sys.executable, "-P", __file__, "--peak", run, *map(str, (*size, threads))]
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
    columns = ("size", "threads", "build + steps, ms", "pydensecrf", "times faster", "MiB", "pydensecrf")
    table = Table(*columns, title=f"{NUM_CLASSES} classes, {NUM_STEPS} steps, both kernels")
    for row in rows:
        faster = "" if row.spread is None else f"{row.ratio:.2f} ({row.spread[0]:.2f} to {row.spread[1]:.2f})"
        known = row.their_build is not None
        table.add_row(
            " x ".join(map(str, row.size)),
            str(row.threads),
            f"{row.build:.0f} + {row.steps:.0f}",
            f"{row.their_build:.0f} + {row.their_steps:.0f}" if known else "not installed",
            faster,
            f"{row.memory:.0f}",
            f"{row.their_memory:.0f}" if known else "",
        )
    Console(width=110).print(table)
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
