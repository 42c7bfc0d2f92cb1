"""How long a training step takes on a processor in bfloat16: PyTorch's backward pass, and the faster of two.

Run it as `python benchmarks/training_step.py --json training_step.json` on an otherwise idle machine. Steps
are those of a recipe's first stage (forward, loss, backward, optimizer), on random numbers. Both kinds
alternate, and ratios are those of neighboring steps. `benchmarks/layer_gradients.py` looks at single layers.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from atrous.config import load_toml
from atrous.jobs.stage_plan import plan_stages
from atrous.jobs.train import TrainConfig
from atrous.models.catalog import build_network
from atrous.ops.faster_backward import TRIALS, FasterBackward
from atrous.training.optimizers import build_optimizer

RECIPES = Path(__file__).parent.parent / "recipes"
CASES = {"Dilation8 front end": ("camvid_dilation8", 1), "light front end": ("camvid_light", 2)}  # batch size
NUM_CLASSES = 11
REPEATS = 7
Pair = tuple[float, float]  # PyTorch, the faster


@dataclass(frozen=True, slots=True)
class StepRow:
    """Medians in ms, PyTorch's time by ours with its spread, peaks in MiB above those of the weights.

    The error is that of all gradients of one step together, without dropout, against a step in float32.
    """

    network: str
    input_size: tuple[int, ...]
    forward: Pair
    backward: Pair
    optimizer: Pair
    ratio: float
    spread: Pair
    memory: Pair
    error: Pair


class Bench:
    """The first stage of a recipe, on random numbers."""

    def __init__(self, case: str) -> None:
        recipe, batch_size = CASES[case]
        config = load_toml(RECIPES / f"{recipe}.toml", TrainConfig)
        torch.manual_seed(0)
        network = build_network(config.network, num_classes=NUM_CLASSES)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        plan = plan_stages(config, network, None)[0]
        self.module, self.objective = plan.module.train(), plan.rule.objective
        self.optimizer = build_optimizer(plan.module, plan.stage, new_layers=plan.new_layers)
        sides = [side + 2 * plan.subject.geometry.margin for side in plan.stage.crop_size]
        self.images = torch.randn(batch_size, 3, *sides).contiguous(memory_format=torch.channels_last)
        cells = [side // plan.stage.loss_stride for side in plan.stage.crop_size]
        self.labels = torch.randint(NUM_CLASSES, (batch_size, *cells))

    def loss(self, *, in_bfloat16: bool = True) -> Tensor:
        """Of one forward pass."""
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16):
            logits = self.module(self.images)
        return self.objective(logits.float(), self.labels)

    def step(self, mode: AbstractContextManager[object]) -> list[float]:
        """Milliseconds of forward, backward and optimizer."""
        times = [time.perf_counter()]
        with mode:
            loss = self.loss()
            times.append(time.perf_counter())
            loss.backward()
            times.append(time.perf_counter())
        self.optimizer.step()
        self.optimizer.zero_grad()
        times.append(time.perf_counter())
        return [1e3 * (end - start) for start, end in itertools.pairwise(times)]

    def gradients(self, mode: AbstractContextManager[object], *, in_bfloat16: bool = True) -> Tensor:
        """All gradients in one row, without dropout."""
        self.module.eval()
        with mode:
            self.loss(in_bfloat16=in_bfloat16).backward()
        self.module.train()
        found = [p.grad.flatten() for p in self.module.parameters() if p.grad is not None]
        self.optimizer.zero_grad()
        return torch.cat(found)


def measure_step(case: str) -> StepRow:
    """Alternate steps of both kinds."""
    bench, plain, faster = Bench(case), nullcontext(), FasterBackward()
    for _ in range(2 * TRIALS):
        bench.step(faster)
    truth = bench.gradients(plain, in_bfloat16=False)
    errors = (error(bench.gradients(plain), truth), error(bench.gradients(faster), truth))
    pairs = [(bench.step(plain), bench.step(faster)) for _ in range(REPEATS)]
    ratios = sorted(sum(theirs) / sum(ours) for theirs, ours in pairs)
    medians = [
        [statistics.median(part) for part in zip(*times, strict=True)] for times in zip(*pairs, strict=True)
    ]
    forward, backward, optimizer = zip(*medians, strict=True)
    return StepRow(
        case,
        tuple(bench.images.shape),
        forward,
        backward,
        optimizer,
        ratio=statistics.median(ratios),
        spread=(ratios[0], ratios[-1]),
        memory=(peak(case, "plain"), peak(case, "faster")),
        error=errors,
    )


def error(value: Tensor, truth: Tensor) -> float:
    """Relative, in the norm."""
    return float((value - truth).norm() / truth.norm())


def peak(case: str, mode: str) -> float:
    """MiB that the second and later steps need in a process of their own."""
    command = [sys.executable, __file__, "--peak", case, mode]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(case: str, mode: str) -> None:
    """Body of `peak`, on Linux: how far the process grows above the network and its optimizer."""
    bench, faster = Bench(case), FasterBackward() if mode == "faster" else nullcontext()
    bench.step(faster)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak so far
    status = Path("/proc/self/status")
    before = int(status.read_text(encoding="ascii").split("VmHWM:")[1].split()[0])
    for _ in range(2 * TRIALS):
        bench.step(faster)
    after = int(status.read_text(encoding="ascii").split("VmHWM:")[1].split()[0])
    print((after - before) / 1024)


def main() -> None:
    """Measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(*arguments.peak)
        return
    steps = [measure_step(case) for case in CASES]
    Console(width=120).print(table_of(steps))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([*map(asdict, steps)], indent=2) + "\n", encoding="utf-8")


def table_of(rows: list[StepRow]) -> Table:
    """Whole steps."""
    columns = (
        "network",
        "input",
        "forward, ms",
        "backward, ms",
        "optimizer, ms",
        "times faster",
        "MiB",
        "error, 1e-3",
    )
    table = Table(*columns, title="Training step: PyTorch's bf16 autocast, and ours")
    for row in rows:
        numbers = (row.forward, row.backward, row.optimizer)
        table.add_row(
            row.network,
            " x ".join(map(str, row.input_size)),
            *(f"{theirs:.0f}, {ours:.0f}" for theirs, ours in numbers),
            f"{row.ratio:.2f} ({row.spread[0]:.2f} to {row.spread[1]:.2f})",
            "{:.0f}, {:.0f}".format(*row.memory),
            "{:.1f}, {:.1f}".format(*(1e3 * e for e in row.error)),
        )
    return table


if __name__ == "__main__":
    main()
