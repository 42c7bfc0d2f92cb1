"""Scores during training, with the same predictor that users predict with."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from lightning_fabric import Fabric

from atrous.crf.rnn import CRFRNN
from atrous.data.samples import AnySamples
from atrous.inference.machine import Precision
from atrous.inference.predictor import Predictor
from atrous.jobs.progress import Job, Progress
from atrous.jobs.task import AnyScores
from atrous.jobs.tasks import meaning_of_samples, task_of
from atrous.models.contract import DenseNetwork


def validate(
    network: DenseNetwork,
    dataset: AnySamples,
    *,
    fabric: Fabric,
    precision: Precision,
    crf: CRFRNN | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Job[AnyScores | None]:
    """Scores of the network, refined where there is a CRF, on the data set, which all processes share.

    Args:
        network: What is scored.
        dataset: With labels, or measured values.
        fabric: Device and processes.
        precision: That it is computed in.
        crf: Refines the network's scores.
        is_stopped: Asked before each sample, by all processes at the same time; once it says yes, there are
            no scores.
    """
    task = task_of(meaning_of_samples(dataset))
    predictor = Predictor(
        network, label_set=task.meaning, device=str(fabric.device), precision=precision, crf=crf
    )
    mine = range(fabric.global_rank, len(dataset), fabric.world_size)
    total = task.zeros()
    each = task.count_each(predictor, dataset, indices=mine)
    for number in range(-(-len(dataset) // fabric.world_size)):  # the same for all processes
        if is_stopped():
            return None
        if (counts := next(each, None)) is not None:
            total += counts
            yield Progress(number + 1, len(mine), "validation")
    return task.score(_sum_over_processes(total, fabric))


def _sum_over_processes(total: Any, fabric: Fabric) -> Any:
    """The same dataclass with every one of its arrays added up."""
    parts = (torch.from_numpy(getattr(total, part.name)) for part in fields(total))
    summed = (fabric.all_reduce(part, reduce_op="sum").cpu().numpy() for part in parts)  # type: ignore[union-attr]
    return type(total)(*summed)
