import numpy as np
import pytest

from atrous.data.folder import Sample
from atrous.data.labels import LabelSet
from atrous.data.volume_loader import VolumeReader, load_volume_batches
from atrous.data.volume_transforms import VolumeAugmentation
from atrous.models.window import Window


class Made:
    """Three volumes that exist in memory only."""

    label_set = LabelSet(("a", "b"))

    def __len__(self):
        return 3

    def __getitem__(self, index):
        values = np.random.default_rng(index).normal(50 * index, 1 + index, (6, 7, 8)).astype(np.float32)
        return Sample(str(index), values, (values > 50 * index).astype(np.uint8), (1.0, 1.0, 1.0))


@pytest.fixture
def reader():
    augmentation = VolumeAugmentation((4, 5, 6), scale=(0.8, 1.2), flips=(0,), contrast=0.1)
    return VolumeReader(Made(), augmentation, Window().apply, seed=5, margin=1)


def test_batches_depend_on_their_number_alone(reader):
    whole = list(load_volume_batches(reader, batch_size=2, numbers=range(6)))
    again = list(load_volume_batches(reader, batch_size=2, numbers=range(3, 6), num_threads=1))
    for one, other in zip(whole[3:], again, strict=True):
        assert one.images.equal(other.images)
        assert one.labels.equal(other.labels)
    assert whole[0].images.shape == (2, 1, 6, 7, 8)
    assert whole[0].labels.shape == (2, 4, 5, 6)


def test_volumes_are_normalized_before_they_are_cropped():
    """A crop has not mean 0 and deviation 1, the volume it is of has."""
    reader = VolumeReader(Made(), VolumeAugmentation((3, 3, 3)), Window(0, 100).apply, seed=0)
    crop = reader(0).image
    matches = 0
    for index in range(3):
        values = Made()[index].image
        normal = ((values - values.mean()) / values.std()).astype(np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(normal, (3, 3, 3))
        matches += int(np.isclose(windows, crop[0], atol=1e-4).all((3, 4, 5)).sum())
    assert matches == 1
