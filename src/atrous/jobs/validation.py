"""Scores during training, with the same predictor that users predict with."""

from dataclasses import fields
from typing import Any

import torch
from lightning_fabric import Fabric

from atrous.crf.rnn import CRFRNN
from atrous.inference.machine import Precision
from atrous.inference.predictor import Predictor
from atrous.jobs.progress import Job, Progress
from atrous.jobs.task import AnySamples, AnyScores
from atrous.jobs.tasks import meaning_of_samples, task_of
from atrous.models.contract import DenseNetwork


def validate(
    network: DenseNetwork,
    dataset: AnySamples,
    *,
    fabric: Fabric,
    precision: Precision,
    crf: CRFRNN | None = None,
) -> Job[AnyScores]:
    """Scores of the network, refined where there is a CRF, on the data set, which all processes share."""
    task = task_of(meaning_of_samples(dataset))
    predictor = Predictor(
        network, label_set=task.meaning, device=str(fabric.device), precision=precision, crf=crf
    )
    mine = range(fabric.global_rank, len(dataset), fabric.world_size)
    total = task.zeros()
    for done, counts in enumerate(task.count_each(predictor, dataset, indices=mine), start=1):
        total += counts
        yield Progress(done, len(mine), "validation")
    return task.score(_sum_over_processes(total, fabric))


def _sum_over_processes(total: Any, fabric: Fabric) -> Any:
    """The same dataclass with every one of its arrays added up."""
    parts = (torch.from_numpy(getattr(total, part.name)) for part in fields(total))
    summed = (fabric.all_reduce(part, reduce_op="sum").cpu().numpy() for part in parts)  # type: ignore[union-attr]
    return type(total)(*summed)
