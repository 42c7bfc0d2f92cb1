"""Memory and time of a voxel in `context3d`: at once and streamed, learning and predicting.

Run it as `python benchmarks/volumes.py --json volumes.json`. Every row is a process of its own, whose peak of
resident memory is read from the system, less that of a process that has imported and built the same.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from atrous.inference import volume_prediction
from atrous.inference.predictor import Predictor
from atrous.models.catalog import build_network

ROWS = (
    ("predict at once", (64, 64, 64)),
    ("predict at once", (128, 128, 128)),
    ("predict streamed", (128, 128, 128)),
    ("predict streamed", (128, 128, 512)),
    ("learn", (48, 48, 48)),
    ("learn", (64, 64, 64)),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One way and size: bytes and microseconds a voxel, the peak in MiB."""

    way: str
    size: tuple[int, int, int]
    bytes_a_voxel: float
    microseconds_a_voxel: float
    mebibytes: float


def measure(way: str, size: tuple[int, ...]) -> tuple[float, float]:
    """KiB of the peak above the start, and seconds; called in a process of its own."""
    network = build_network("context3d")
    predictor = Predictor(network, device="cpu")
    values = np.random.default_rng(0).normal(size=size).astype(np.float32)
    predictor(values[:8, :8, :8])
    volume_prediction.WHOLE_VOXELS = 0 if way == "predict streamed" else 1 << 62
    before, started = peak(), time.perf_counter()
    if way == "learn":
        images = torch.from_numpy(values)[None, None]
        network.train()(images).square().mean().backward()
    else:
        parts = volume_prediction.volume_scores(network, predictor.engine, values, device=predictor.device)
        volume_prediction.labels_of(parts)
    return peak() - before, time.perf_counter() - started


def peak() -> float:
    """KiB of resident memory at the most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Measure every row in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--row", type=int, help="measure this row, here")
    given = parser.parse_args()
    if given.row is not None:
        print(json.dumps(measure(*ROWS[given.row])))
        return
    rows = []
    for number, (way, size) in enumerate(ROWS):
        command = [sys.executable, __file__, "--row", str(number)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        kibibytes, seconds = json.loads(done.stdout)
        voxels = float(np.prod(size))
        rows.append(Row(way, size, 1024 * kibibytes / voxels, 1e6 * seconds / voxels, kibibytes / 1024))
    table = Table("way", "voxels", "bytes a voxel", "MiB", "microseconds a voxel")
    for row in rows:
        sides = " x ".join(map(str, row.size))
        table.add_row(
            row.way,
            sides,
            f"{row.bytes_a_voxel:.0f}",
            f"{row.mebibytes:.0f}",
            f"{row.microseconds_a_voxel:.2f}",
        )
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
