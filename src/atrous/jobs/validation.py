"""Scores during training, with the same predictor that users predict with."""

import torch
from lightning_fabric import Fabric

from atrous.crf.rnn import CRFRNN
from atrous.data.samples import Samples
from atrous.evaluation.evaluate import count_each
from atrous.evaluation.metrics import Counts, Scores
from atrous.inference.machine import Precision
from atrous.inference.predictor import Predictor
from atrous.jobs.progress import Job, Progress
from atrous.models.contract import DenseNetwork


def validate(
    network: DenseNetwork,
    dataset: Samples,
    *,
    fabric: Fabric,
    precision: Precision,
    crf: CRFRNN | None = None,
) -> Job[Scores]:
    """Scores of the network, refined where there is a CRF, on the data set, which all processes share."""
    label_set = dataset.label_set
    predictor = Predictor(
        network, label_set=label_set, device=str(fabric.device), precision=precision, crf=crf
    )
    mine = range(fabric.global_rank, len(dataset), fabric.world_size)
    total = Counts.zeros(label_set.num_classes)
    for done, counts in enumerate(count_each(predictor, dataset, indices=mine), start=1):
        total += counts
        yield Progress(done, len(mine), "validation")
    return Scores.from_counts(_sum_over_processes(total, fabric), names=label_set.names)


def _sum_over_processes(counts: Counts, fabric: Fabric) -> Counts:
    summed = (
        fabric.all_reduce(torch.from_numpy(part), reduce_op="sum").cpu().numpy()  # type: ignore[union-attr]
        for part in (counts.confusion, counts.boundary)
    )
    return Counts(*summed)
