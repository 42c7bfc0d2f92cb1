"""The training loop, visible: it yields after every update, the caller logs, saves and stops."""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from atrous.errors import TrainingError
from atrous.ops.faster_backward import FasterBackward
from atrous.training.optimizers import scale_learning_rates_

IGNORE_INDEX = 255

Example = tuple[
    Tensor, Tensor
]  # what the network takes (b, c, h, w); labels (b, h, w), or values (b, k, h, w)


def count_labeled(labels: Tensor) -> int:
    """Labels that count."""
    return int((labels != IGNORE_INDEX).sum())


@dataclass(frozen=True, slots=True)
class Update:
    """One finished optimizer update.

    Attributes:
        step: Updates done, this one included.
        loss: Mean over valid pixels of all its micro-batches.
        learning_rate_factor: Of the schedule.
        num_images: Crops it used on this process.
        seconds: It took.
        waiting: Seconds of these spent waiting for data.
    """

    step: int
    loss: float
    learning_rate_factor: float
    num_images: int
    seconds: float
    waiting: float


@dataclass(frozen=True, slots=True)
class Trainee:
    """What is trained, as Fabric set it up, and the running average of its weights where one is kept."""

    module: _FabricModule
    optimizer: _FabricOptimizer
    average: AveragedModel | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """How an update is made.

    Attributes:
        objective: (the module's output, targets) -> mean loss over the valid targets, zero where there is
            none; targets of integers come as int64.
        schedule: Update number (0-based) -> factor of all learning rates.
        accumulate: Micro-batches an update.
        seed: Of the randomness inside the network.
        count_valid: Targets of a micro-batch that count, by which its loss is weighted.
    """

    objective: Callable[[Any, Tensor], Tensor]
    schedule: Callable[[int], float]
    accumulate: int = 1
    seed: int = 0
    count_valid: Callable[[Tensor], int] = count_labeled


def fit(
    trainee: Trainee, examples: Iterator[Example], *, fabric: Fabric, rule: Rule, steps: range
) -> Iterator[Update]:
    """Train, one yield an update.

    An update averages over the valid pixels of all its micro-batches and of all processes, so with a loss
    that is a mean over pixels two processes, or two micro-batches, make the update of one joint batch.
    Randomness inside the network (dropout) is seeded anew for each update, so a run that stopped after any of
    them goes on bit for bit; in bfloat16 on a processor, but for the roundings of `FasterBackward`.

    Args:
        trainee: Changed in place.
        examples: `rule.accumulate` of them an update; ends early if they run out.
        fabric: Device, precision, processes.
        rule: Loss, learning rates, accumulation, seed.
        steps: Updates to do; the first says how many lie behind.

    Raises:
        TrainingError: If the loss is not finite; the weights are those before the update.
    """
    faster = FasterBackward()
    for step in steps:
        started = time.perf_counter()
        batch = list(itertools.islice(examples, rule.accumulate))
        if len(batch) < rule.accumulate:
            return
        waiting = time.perf_counter() - started
        torch.manual_seed(_seed_of(rule.seed, step, fabric.global_rank))
        factor = rule.schedule(step)
        scale_learning_rates_(trainee.optimizer.optimizer, factor)
        with faster:
            loss = _accumulate_gradients(trainee.module, batch, fabric=fabric, rule=rule)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss of update {step + 1} is {loss}; lower the learning rate or add warmup_steps"
            )
        trainee.optimizer.step()
        trainee.optimizer.zero_grad()
        if trainee.average is not None:
            trainee.average.update_parameters(trainee.module.module)
        num_images = sum(len(images) for images, _ in batch)
        yield Update(step + 1, loss, factor, num_images, time.perf_counter() - started, waiting)


def refuse_broken_weights(module: nn.Module, when: str) -> None:
    """Keep what was saved before the weights broke: the loss of the update that broke them was finite.

    Args:
        module: That is trained.
        when: It is looked at.

    Raises:
        TrainingError: If a value of it is not finite.
    """
    if broken := [name for name, value in module.state_dict().items() if not value.isfinite().all()]:
        raise TrainingError(
            f"after {when} {broken[0]} is not finite; lower the learning rate or add warmup_steps"
        )


def _accumulate_gradients(module: nn.Module, batch: list[Example], *, fabric: Fabric, rule: Rule) -> float:
    """Gradients of the mean loss over all valid pixels; returns that mean."""
    valid = [rule.count_valid(targets) for _, targets in batch]
    total = int(fabric.all_reduce(torch.tensor(sum(valid)), reduce_op="sum"))  # type: ignore[arg-type]
    mean = torch.zeros(())
    for number, ((images, targets), count) in enumerate(zip(batch, valid, strict=True)):
        last = number == len(batch) - 1
        context = nullcontext() if last else fabric.no_backward_sync(module)  # type: ignore[arg-type]
        share = count / max(total, 1)
        with context:
            known = targets if targets.is_floating_point() else targets.long()
            loss = rule.objective(module(images), known) * share
            fabric.backward(loss * fabric.world_size)  # DDP averages the gradients of all processes
        mean += loss.detach().cpu()
    return float(fabric.all_reduce(mean, reduce_op="sum"))  # type: ignore[arg-type]


def _seed_of(seed: int, step: int, rank: int) -> int:
    """One seed for each update of each process."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0])
