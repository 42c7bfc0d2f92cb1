"""What a stage of a training feeds a network for volumes."""

from collections.abc import Iterator

from lightning_fabric import Fabric

from atrous.data.samples import Samples
from atrous.data.volume_loader import VolumeReader, load_volume_batches
from atrous.data.volume_transforms import VolumeAugmentation
from atrous.errors import ConfigError
from atrous.jobs.training_data import NUM_THREADS, batch_numbers, labels_that_count
from atrous.models.contract import DenseNetwork
from atrous.training.loop import Example
from atrous.training.settings import Stage


def volume_augmentation_of(stage: Stage) -> VolumeAugmentation:
    """The stage's crop, zoom, flips and contrast.

    Raises:
        ConfigError: If the crop has not three sides, or a setting is impossible.
    """
    if len(stage.crop_size) != 3:
        raise ConfigError(
            f"crop_size {stage.crop_size} is that of an image; give three sides, in voxels right, front, up"
        )
    x, y, z = stage.crop_size
    flips = tuple(sorted({*stage.flips, *((0,) if stage.mirror else ())}))
    return VolumeAugmentation((x, y, z), scale=stage.scale, flips=flips, contrast=stage.color)


def volume_examples(
    dataset: Samples, network: DenseNetwork, stage: Stage, *, fabric: Fabric, seed: int, start: int
) -> Iterator[Example]:
    """Normalized crops (b, 1, X, Y, Z), margin included, and the labels that count."""
    reader = VolumeReader(
        dataset, volume_augmentation_of(stage), network.normalization.apply, seed=seed, margin=network.margin
    )
    numbers = batch_numbers(stage, start, fabric)
    for batch in load_volume_batches(
        reader, batch_size=stage.batch_size, numbers=numbers, num_threads=NUM_THREADS
    ):
        images = fabric.to_device(batch.images).contiguous(memory_format=network.memory_format)
        yield images, labels_that_count(batch.labels, stage, fabric)
