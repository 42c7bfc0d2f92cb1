"""How long exact coverage takes, alone and against the gradient of a real network of the same layers.

Run it as `python benchmarks/exact_coverage.py --json coverage.json`. The gradient method is given advantages:
thin layers, and positive weights and no maxima, so that one input and one backward pass find every path.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from atrous.geometry.coverage import coverage
from atrous.geometry.graph import Layer

REPEATS = 5
CHANNELS = 4  # in every layer; the networks themselves have 64 to 4096


@dataclass(frozen=True, slots=True)
class Row:
    """One network: its field in px, the fraction seen, seconds of both methods, and their ratio."""

    network: str
    field: tuple[int, ...]
    fraction: float
    exact: float
    gradient: float
    ratio: float


def front_end() -> list[Layer]:
    """The layers of Yu & Koltun's front end, without the 1x1 convolutions at its end."""
    layers: list[Layer] = []
    for number, dilation, has_pool in (
        (2, 1, True),
        (2, 1, True),
        (3, 1, True),
        (3, 1, False),
        (3, 2, False),
    ):
        layers += [Layer((3, 3), dilation=dilation, padding=0)] * number
        layers += [Layer((2, 2), stride=2, padding=0)] * has_pool
    return [*layers, Layer((7, 7), dilation=4, padding=0)]


def with_context(dilations: Sequence[int]) -> list[Layer]:
    """The front end and a context module after it."""
    return [*front_end(), *(Layer((3, 3), dilation=dilation, padding=0) for dilation in dilations)]


NETWORKS = {
    "Dilation8 front end": front_end(),
    "Dilation8": with_context((1, 1, 2, 4, 8, 16, 1)),
    "Dilation10": with_context((1, 1, 2, 4, 8, 16, 32, 64, 1)),
}


def build(layers: Sequence[Layer]) -> nn.Sequential:
    """The network, thin, with the same positive number for all weights of a layer."""
    network, channels = nn.Sequential(), 1
    for layer in layers:
        window, _ = layer.axes(2)
        conv = nn.Conv2d(
            channels, CHANNELS, window.kernel_size, window.stride, dilation=window.dilation, bias=False
        )
        nn.init.constant_(conv.weight, 1 / conv.weight[0].numel())
        network.append(conv)
        channels = CHANNELS
    return network.requires_grad_(requires_grad=False)


def by_gradient(network: nn.Module, image: torch.Tensor) -> np.ndarray:
    """Where one output's gradient lies: one forward and one backward pass."""
    (gradient,) = torch.autograd.grad(network(image).sum(), image)
    return gradient[0, 0].numpy()


def seconds(run: Callable[[], object]) -> float:
    """The median of several runs."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(name: str, layers: Sequence[Layer]) -> Row:
    """Both methods on one network, after a check that they agree."""
    exact = coverage(layers)
    network, image = build(layers), torch.zeros(1, 1, *exact.seen.shape, requires_grad=True)
    gradient = by_gradient(network, image)
    if not np.allclose(gradient / gradient.sum(), exact.density, rtol=1e-3, atol=0):
        raise SystemExit(f"{name}: exact coverage and gradient differ")
    by_walk, by_torch = seconds(lambda: coverage(layers)), seconds(lambda: by_gradient(network, image))
    return Row(name, exact.seen.shape, exact.fraction, by_walk, by_torch, by_torch / by_walk)


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    path = parser.parse_args().json
    torch.set_num_threads(1)  # exact coverage uses one
    rows = [measure(name, layers) for name, layers in NETWORKS.items()]
    table = Table("network", "field, px", "exact, s", "gradient, s", "times faster", title="Coverage in 2-D")
    for row in rows:
        size = " x ".join(map(str, row.field))
        table.add_row(row.network, size, f"{row.exact:.4f}", f"{row.gradient:.4f}", f"{row.ratio:.0f}")
    Console().print(table)
    if path is not None:
        result = {
            "channels": CHANNELS,
            "threads": torch.get_num_threads(),
            "rows": [asdict(row) for row in rows],
        }
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
