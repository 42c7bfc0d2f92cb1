"""How fast a WaveNet generates: samples a second on one thread, against two slower truths.

Run it as `python benchmarks/generation.py --json generation.json` on an otherwise idle machine. The network
is the catalog's, 30 layers with 10 conditions and random weights. The compiled loops are compared with the
whole network on the samples that they made: the largest difference of a logit, on the weights as stored.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from atrous.inference.generate import SoundGenerator
from atrous.inference.next_samples import NextSamples, StreamedSamples
from atrous.inference.wavenet_samples import WaveNetSamples
from atrous.models.catalog import build_network
from atrous.models.companding import Companding
from atrous.models.wavenet import WaveNet

REPEATS = 5
NUM_COMPARED = 4000  # samples: more than the network sees
REAL_TIME = 16_000  # samples a second
Precision = Literal["float32", "bfloat16"]


def rounded(network: WaveNet) -> WaveNet:
    """The network with the matrices that the loops store in bfloat16 rounded to it."""
    copy = build_network("wavenet", num_classes=256, in_channels=266)
    copy.load_state_dict(network.state_dict())
    with torch.no_grad():
        for name, value in copy.named_parameters():
            if name.endswith("weight") and not name.startswith("first") and ".condition." not in name:
                value.copy_(value.bfloat16().float())
    assert isinstance(copy, WaveNet)
    return copy.eval()


@torch.no_grad()
def error_of(network: WaveNet, precision: Precision) -> float:
    """Largest difference of a logit between the loops and the whole network on the same samples."""
    generator = SoundGenerator(network, conditions=[3], precision=precision)
    codes = generator.take_codes(NUM_COMPARED)
    again = SoundGenerator(network, conditions=[3], precision=precision)
    found = again.feed(codes, keeps_logits=True)
    exact = network if precision == "float32" else rounded(network)
    assert isinstance(exact.normalization, Companding)
    wanted = exact(exact.normalization.before(torch.from_numpy(codes), torch.eye(10)[[3]]))
    return float(np.abs(found - wanted.movedim(1, 2).numpy()).max())


def rate_of(take: Callable[[int], object], num_samples: int, num_sounds: int) -> tuple[float, float, float]:
    """Samples a second of all sounds together: median, smallest and largest of the repeats."""
    take(2)
    rates = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        take(num_samples)
        rates.append(num_samples * num_sounds / (time.perf_counter() - started))
    return statistics.median(rates), min(rates), max(rates)


@torch.no_grad()
def whole_network(network: WaveNet) -> Callable[[int], object]:
    """Each sample from the whole network on all that it sees; the plainest way."""
    seen = torch.zeros(1, network.num_channels, network.receptive_field)

    def take(num_samples: int) -> None:
        with torch.inference_mode():
            for _ in range(num_samples):
                network(seen)

    return take


def advancing(samples: NextSamples, num_sounds: int) -> Callable[[int], object]:
    """The next samples by one of the two ways."""
    random = np.random.default_rng(0)

    def take(num_samples: int) -> None:
        given = np.empty((num_sounds, 0), np.int64)
        samples.advance(given, random.random((num_sounds, num_samples)), temperature=1.0)

    return take


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    network = build_network("wavenet", num_classes=256, in_channels=266).eval()
    assert isinstance(network, WaveNet)
    rows: dict[str, dict[str, float]] = {}

    def measure(name: str, take: Callable[[int], object], num_samples: int, num_sounds: int = 1) -> None:
        median, least, most = rate_of(take, num_samples, num_sounds)
        rows[name] = {"samples_per_second": median, "least": least, "most": most}

    conditions = torch.eye(10)
    measure("whole network for each sample", whole_network(network), 5)
    measure("torch, streamed", advancing(StreamedSamples(network, conditions[:1], num_sounds=1), 1), 300)
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    for precision in precisions:
        for num_sounds in (1, 16):
            shown = conditions[torch.arange(num_sounds) % 10]
            loops = WaveNetSamples(network, shown, num_sounds=num_sounds, precision=precision)
            name = f"compiled loops, {precision}, {num_sounds} at once"
            measure(name, advancing(loops, num_sounds), 16_000 // num_sounds, num_sounds)
        rows[name]["largest_error"] = error_of(network, precision)
    table = Table(
        "way", "samples/s (all sounds)", "smallest .. largest", "x real time at 16 kHz", "largest error"
    )
    for name, row in rows.items():
        rate, error = row["samples_per_second"], row.get("largest_error")
        told = f"{row['least']:,.0f} .. {row['most']:,.0f}"
        table.add_row(
            name, f"{rate:,.0f}", told, f"{rate / REAL_TIME:.2f}", "" if error is None else f"{error:.1g}"
        )
    Console(width=130).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"threads": arguments.threads, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
