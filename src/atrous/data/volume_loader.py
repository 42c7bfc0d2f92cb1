"""Batches of volumes, in the same order and as resumable as those of images; see `data.loader`."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from atrous.data.loader import index_at, read_ahead
from atrous.data.samples import Samples
from atrous.data.volume_transforms import VolumeAugmentation, VolumeCrop, augment_volume

Normalize = Callable[[Float32[Tensor, "1 1 x y z"]], Float32[Tensor, "1 1 x y z"]]
"""How a network wants a whole volume; it comes before the crop, since it looks at all of it."""


@dataclass(frozen=True, slots=True)
class VolumeBatch:
    """Normalized volumes (b, 1, X, Y, Z), margin included, float32, and labels (b, x, y, z), uint8."""

    images: Float32[Tensor, "b 1 X Y Z"]
    labels: UInt8[Tensor, "b x y z"]


@dataclass(frozen=True, slots=True)
class VolumeReader:
    """Makes the sample of a position; a pure function of seed and position, safe in several threads.

    Attributes:
        dataset: Of volumes, at least one.
        augmentation: Drawn anew at every position.
        normalize: Of whole volumes.
        seed: Fixes order and augmentation.
        margin: Reflected voxels added on every side of the images.
    """

    dataset: Samples
    augmentation: VolumeAugmentation
    normalize: Normalize
    seed: int
    margin: int = 0

    def __call__(self, position: int) -> VolumeCrop:
        """The crop at a position of the endless shuffled sequence."""
        sample = self.dataset[index_at(position, num_samples=len(self.dataset), seed=self.seed)]
        values = self.normalize(torch.from_numpy(sample.image)[None, None])[0, 0].numpy()
        generator = np.random.default_rng((self.seed, 1, position))
        return augment_volume(values, sample.labels, self.augmentation, generator, margin=self.margin)


def load_volume_batches(
    reader: VolumeReader, *, batch_size: int, numbers: range, num_threads: int = 2
) -> Generator[VolumeBatch, None, None]:
    """The numbered batches of the endless shuffled sequence of the data set.

    Raises:
        DataError: If a file cannot be read, when its batch is due.
    """
    for crops in read_ahead(reader, batch_size=batch_size, numbers=numbers, num_threads=num_threads):
        yield VolumeBatch(
            images=torch.from_numpy(np.stack([crop.image for crop in crops])),
            labels=torch.from_numpy(np.stack([crop.labels for crop in crops])),
        )
