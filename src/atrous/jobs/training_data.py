"""What each stage of a training feeds its module: image crops, or scores of the frozen front end."""

import os
from collections.abc import Iterator

import torch
from lightning_fabric import Fabric
from torch import Tensor

from atrous.data.loader import Batch, load_batches
from atrous.data.quantity import MeasuredSamples
from atrous.data.samples import Samples
from atrous.data.transforms import Augmentation
from atrous.errors import ConfigError
from atrous.jobs.cached_scores import ScoreCache
from atrous.models.contract import DenseNetwork
from atrous.training.loop import Example
from atrous.training.settings import Stage

NUM_THREADS = max(2, min(8, os.cpu_count() or 2))  # a sample takes 13 ms of a core, a GPU step less


def augmentation_of(stage: Stage) -> Augmentation:
    """The stage's crop, zoom, mirror and color.

    Raises:
        ConfigError: If the crop has not two sides, or a setting is impossible.
    """
    if len(stage.crop_size) != 2 or stage.flips:
        raise ConfigError(
            f"crop_size {stage.crop_size} and flips {stage.flips} are those of volumes; images have crops of "
            "two sides, height and width, and no flips but mirror"
        )
    height, width = stage.crop_size
    return Augmentation(crop_size=(height, width), scale=stage.scale, mirror=stage.mirror, color=stage.color)


def batch_numbers(stage: Stage, start: int, fabric: Fabric) -> range:
    """Numbers of the batches from update `start` on that fall to this process.

    Update u uses batches u * accumulate * processes and the next ones, so two processes see what one process
    with twice the accumulation sees.
    """
    per_update = stage.accumulate * fabric.world_size
    return range(start * per_update + fabric.global_rank, stage.num_steps * per_update, fabric.world_size)


def image_examples(
    dataset: Samples | MeasuredSamples,
    network: DenseNetwork,
    stage: Stage,
    *,
    fabric: Fabric,
    seed: int,
    start: int,
) -> Iterator[Example]:
    """Normalized crops (b, c, H, W), margin included, and the labels or values that count."""
    batches = load_batches(
        dataset,
        augmentation_of(stage),
        batch_size=stage.batch_size,
        seed=seed,
        numbers=batch_numbers(stage, start, fabric),
        margin=network.margin,
        num_threads=NUM_THREADS,
    )
    for batch in batches:
        yield _normalized(batch, network, fabric), labels_that_count(batch.labels, stage, fabric)


def score_examples(
    dataset: Samples | MeasuredSamples,
    front_end: DenseNetwork,
    stage: Stage,
    *,
    fabric: Fabric,
    seed: int,
    start: int,
) -> Iterator[Example]:
    """The frozen front end's logits of augmented crops, and the labels that count."""
    front_end.eval()
    for images, labels in image_examples(dataset, front_end, stage, fabric=fabric, seed=seed, start=start):
        with torch.no_grad(), fabric.autocast():
            scores = front_end(images)
        yield scores.float(), labels


def cached_examples(
    cache: ScoreCache, stage: Stage, *, fabric: Fabric, seed: int, start: int
) -> Iterator[Example]:
    """The same from scores on disk."""
    for scores, labels in cache.examples(stage, numbers=batch_numbers(stage, start, fabric), seed=seed):
        yield fabric.to_device(scores), fabric.to_device(labels)


def _normalized(batch: Batch, network: DenseNetwork, fabric: Fabric) -> Tensor:
    images = network.normalization.apply(fabric.to_device(batch.images).float())
    return images.contiguous(memory_format=torch.channels_last)


def labels_that_count(labels: Tensor, stage: Stage, fabric: Fabric) -> Tensor:
    """The labels (b, *spatial) that the loss sees, on the device: every `loss_stride`-th along each axis."""
    each = slice(None, None, stage.loss_stride)
    return fabric.to_device(labels[(slice(None), *(each,) * (labels.ndim - 1))].contiguous())
