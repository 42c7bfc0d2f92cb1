"""Batches in an order that is a pure function of seed and position, read ahead by threads.

Threads, not processes: Pillow and numpy release the interpreter's lock while they decode and resize, nothing
is pickled, and a resumed run needs only the position it stopped at.
"""

import functools
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from atrous.data.quantity import MeasuredSamples
from atrous.data.samples import Samples
from atrous.data.transforms import Augmentation, Crop, augment

READ_AHEAD = 4  # batches

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch:
    """Images RGB, margin included, and labels, or values of a regression."""

    images: UInt8[Tensor, "b c H W"]
    labels: UInt8[Tensor, "b h w"] | Float32[Tensor, "b k h w"]


def load_batches(
    dataset: Samples | MeasuredSamples,
    augmentation: Augmentation,
    *,
    batch_size: int,
    seed: int,
    numbers: range,
    margin: int = 0,
    num_threads: int = 2,
) -> Generator[Batch, None, None]:
    """The numbered batches of the endless shuffled sequence of the data set.

    Every epoch visits every sample once in an order of its own. Which sample stands at a position, and how it
    is augmented, depends on the seed and the position alone, so a run can stop and go on anywhere.

    Args:
        dataset: At least one sample.
        augmentation: Drawn anew at every position.
        batch_size: Samples a batch.
        seed: Fixes order and augmentation.
        numbers: Of the batches; every second number gives two processes disjoint halves.
        margin: Reflected pixels added on every side of the images.
        num_threads: Threads that read and augment.

    Raises:
        DataError: If a file cannot be read, when its batch is due.
    """

    def load(position: int) -> Crop:
        sample = dataset[index_at(position, num_samples=len(dataset), seed=seed)]
        generator = np.random.default_rng((seed, 1, position))
        return augment(sample, augmentation, generator, margin=margin)

    for crops in read_ahead(load, batch_size=batch_size, numbers=numbers, num_threads=num_threads):
        yield Batch(
            images=torch.from_numpy(np.stack([crop.image for crop in crops])),
            labels=torch.from_numpy(np.stack([crop.labels for crop in crops])),
        )


def read_ahead(
    load: Callable[[int], T], *, batch_size: int, numbers: range, num_threads: int = 2
) -> Generator[list[T], None, None]:
    """What `load` gives for each position of the numbered batches, in order, a few batches ahead.

    Args:
        load: Called with a position, in several threads at once; its errors come when their batch is due.
        batch_size: Positions a batch; batch n begins at position n * batch_size.
        numbers: Of the batches.
        num_threads: Threads that load; they end with the iterator.
    """
    with ThreadPoolExecutor(num_threads) as threads:
        pending: deque[list[Future[T]]] = deque()
        try:
            for number in numbers:
                first = number * batch_size
                pending.append([threads.submit(load, first + offset) for offset in range(batch_size)])
                if len(pending) > READ_AHEAD:
                    yield [future.result() for future in pending.popleft()]
            while pending:
                yield [future.result() for future in pending.popleft()]
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def index_at(position: int, *, num_samples: int, seed: int) -> int:
    """Which sample stands at a position of the endless shuffled sequence."""
    epoch, place = divmod(position, num_samples)
    return int(_epoch_order(num_samples, seed, epoch)[place])


@functools.lru_cache(maxsize=4)
def _epoch_order(num_samples: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, 0, epoch)).permutation(num_samples)
