"""What a stage of a training feeds a network for sounds."""

from collections.abc import Iterator

import numpy as np
import torch
from lightning_fabric import Fabric

from atrous.data.labels import IGNORE
from atrous.data.loader import index_at, read_ahead
from atrous.data.samples import Samples
from atrous.data.voice import Recordings
from atrous.errors import ConfigError
from atrous.evaluation.generation import one_hot_of
from atrous.jobs.training_data import NUM_THREADS, batch_numbers, labels_that_count
from atrous.models.companding import Companding
from atrous.models.contract import DenseNetwork
from atrous.ops.mulaw import mulaw_encode
from atrous.training.loop import Example
from atrous.training.settings import Stage

NO_CODE = -1  # beyond the end of a sound


def crop_length_of(stage: Stage) -> int:
    """Samples of a crop.

    Raises:
        ConfigError: If the crop has more than one side, or something is set that sounds do not have.
    """
    if len(stage.crop_size) != 1 or stage.flips or stage.scale != (1.0, 1.0) or stage.color:
        raise ConfigError(
            f"crop_size {stage.crop_size}, flips {stage.flips}, scale {stage.scale} and color {stage.color} "
            "are those of images; sounds have a crop_size of one number, in samples, and nothing of the rest"
        )
    return stage.crop_size[0]


def labeled_sound_examples(
    dataset: Samples, network: DenseNetwork, stage: Stage, *, fabric: Fabric, seed: int, start: int
) -> Iterator[Example]:
    """Companded crops (b, c, t), and the labels (b, t) that count; what is beyond a sound's end does not."""
    length = crop_length_of(stage)

    def load(position: int) -> tuple[np.ndarray, np.ndarray]:
        sample = dataset[index_at(position, num_samples=len(dataset), seed=seed)]
        generator = np.random.default_rng((seed, 1, position))
        first = int(generator.integers(0, max(1, len(sample.labels) - length + 1)))
        crop = slice(first, first + length)
        missing = (0, max(0, length - len(sample.labels)))
        labels = np.pad(sample.labels[crop], missing, constant_values=IGNORE)
        return np.pad(sample.image[crop], missing), labels

    numbers = batch_numbers(stage, start, fabric)
    for crops in read_ahead(load, batch_size=stage.batch_size, numbers=numbers, num_threads=NUM_THREADS):
        samples, labels = (torch.from_numpy(np.stack(parts)) for parts in zip(*crops, strict=True))
        shown = network.normalization.apply(fabric.to_device(samples)[:, None])
        yield shown, labels_that_count(labels, stage, fabric)


def sound_examples(
    dataset: Recordings, network: DenseNetwork, stage: Stage, *, fabric: Fabric, seed: int, start: int
) -> Iterator[Example]:
    """What the generator reads (b, c, t), and the codes (b, t) that come next, `NO_CODE` after a sound's end.

    Crops begin where the sound does, or anywhere in it; what lies before a crop is silence to the network.
    """
    companding, voice, length = network.normalization, dataset.voice, crop_length_of(stage)
    assert isinstance(companding, Companding)

    def load(position: int) -> tuple[np.ndarray, int | None]:
        recording = dataset[index_at(position, num_samples=len(dataset), seed=seed)]
        generator = np.random.default_rng((seed, 1, position))
        first = int(generator.integers(0, max(1, len(recording.samples) - length + 1)))
        return recording.samples[first : first + length], recording.condition

    numbers = batch_numbers(stage, start, fabric)
    for crops in read_ahead(load, batch_size=stage.batch_size, numbers=numbers, num_threads=NUM_THREADS):
        longest = max(len(samples) for samples, _ in crops)
        codes = torch.full((len(crops), longest), NO_CODE)
        for row, (samples, _) in zip(codes, crops, strict=True):
            row[: len(samples)] = mulaw_encode(torch.from_numpy(samples), levels=companding.levels)
        targets = fabric.to_device(codes)
        conditions = one_hot_of(voice, [number for _, number in crops], device=targets.device)
        yield companding.before(targets.clamp(min=0), conditions), targets
