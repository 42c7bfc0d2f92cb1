"""How long the gradients of each layer of the front ends take in bfloat16: oneDNN's, and by taps.

Run it as `python benchmarks/layer_gradients.py --json layer_gradients.json` on an otherwise idle machine.
Layers and sizes are those of CamVid's recipes (Dilation8 with 1 crop, the light front end with 2), numbers
are random. Both ways alternate; ratios are those of neighboring runs, errors are against float32 on the same
rounded numbers.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional

from atrous.ops.conv_backward import Layout, data_gradient, plain_gradient, weight_gradient_

REPEATS = 9


@dataclass(frozen=True, slots=True)
class Layer:
    """A square convolution on square maps."""

    name: str
    batch_size: int
    in_channels: int
    side: int
    out_channels: int
    kernel_size: int
    padding: int = 0
    dilation: int = 1


LAYERS = (
    Layer("conv1_2", 1, 64, 626, 64, 3),
    Layer("conv2_1", 1, 64, 312, 128, 3),
    Layer("conv2_2", 1, 128, 310, 128, 3),
    Layer("conv3_1", 1, 128, 154, 256, 3),
    Layer("conv3_2", 1, 256, 152, 256, 3),
    Layer("conv4_1", 1, 256, 74, 512, 3),
    Layer("conv4_2", 1, 512, 72, 512, 3),
    Layer("conv5_1", 1, 512, 68, 512, 3, dilation=2),
    Layer("fc6", 1, 512, 56, 4096, 7, dilation=4),
    Layer("fc7", 1, 4096, 32, 4096, 1),
    Layer("light conv3_2", 2, 256, 80, 256, 3, padding=1),
    Layer("light conv4_2", 2, 512, 40, 512, 3, padding=1),
    Layer("light conv5_1", 2, 512, 40, 512, 3, padding=2, dilation=2),
    Layer("light fc6", 2, 512, 40, 1024, 3, padding=12, dilation=12),
    Layer("light fc7", 2, 1024, 40, 1024, 1),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Medians in ms, oneDNN's time by that of taps with its spread, relative errors."""

    onednn: float
    taps: float
    ratio: float
    spread: tuple[float, float]
    onednn_error: float
    taps_error: float


def measure(layer: Layer) -> tuple[Comparison, Comparison]:
    """The gradients of input and kernel."""
    layout: dict[str, Any] = {"padding": (layer.padding,) * 2, "dilation": (layer.dilation,) * 2}
    x = normal(layer.batch_size, layer.in_channels, layer.side, layer.side).bfloat16()
    kernel = normal(layer.out_channels, layer.in_channels, layer.kernel_size, layer.kernel_size)
    weight = kernel.bfloat16()
    grad = normal(*functional.conv2d(x, weight, **layout).shape).bfloat16()
    exact = [operand.float() for operand in (grad, x, weight)]
    of_data = compare(
        lambda: plain_gradient(0, grad, x, weight, Layout(**layout)),
        lambda: data_gradient(grad, weight, x.shape[2:], **layout),
        truth=plain_gradient(0, *exact, layout=Layout(**layout)),
    )
    of_kernel = compare(
        lambda: torch.empty_like(kernel).copy_(plain_gradient(1, grad, x, weight, Layout(**layout))),
        lambda: weight_gradient_(torch.empty_like(kernel), grad, x, **layout),
        truth=plain_gradient(1, *exact, layout=Layout(**layout)),
    )
    return of_data, of_kernel


def normal(*shape: int) -> Tensor:
    """Random numbers, channels-last."""
    return torch.randn(shape).contiguous(memory_format=torch.channels_last)


def compare(onednn: Callable[[], Tensor], taps: Callable[[], Tensor], *, truth: Tensor) -> Comparison:
    """Alternate runs of both."""
    errors = [float((way().float() - truth).norm() / truth.norm()) for way in (onednn, taps)]
    pairs = [(milliseconds(onednn), milliseconds(taps)) for _ in range(REPEATS)]
    ratios = sorted(theirs / ours for theirs, ours in pairs)
    theirs, ours = map(statistics.median, zip(*pairs, strict=True))
    return Comparison(theirs, ours, statistics.median(ratios), (ratios[0], ratios[-1]), errors[0], errors[1])


def milliseconds(way: Callable[[], Tensor]) -> float:
    """Of one run."""
    started = time.perf_counter()
    way()
    return 1e3 * (time.perf_counter() - started)


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    rows = [(layer, measure(layer)) for layer in LAYERS]
    Console(width=120).print(table_of(rows))
    if arguments.json is not None:
        facts = [
            {**asdict(layer), "data": asdict(of_data), "kernel": asdict(of_kernel)}
            for layer, (of_data, of_kernel) in rows
        ]
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def table_of(rows: list[tuple[Layer, tuple[Comparison, Comparison]]]) -> Table:
    """One line a layer."""
    sides = ("oneDNN, taps, ms", "times faster", "errors, 1e-3")
    table = Table(
        "layer", *(f"{side}" for _ in range(2) for side in sides), title="Gradients of input and of kernel"
    )
    for layer, comparisons in rows:
        cells = [
            cell
            for c in comparisons
            for cell in (
                f"{c.onednn:.1f}, {c.taps:.1f}",
                f"{c.ratio:.2f} ({c.spread[0]:.2f} to {c.spread[1]:.2f})",
                f"{1e3 * c.onednn_error:.1f}, {1e3 * c.taps_error:.1f}",
            )
        ]
        table.add_row(layer.name, *cells)
    return table


if __name__ == "__main__":
    main()
