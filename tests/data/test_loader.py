import threading
import time

import numpy as np
import pytest
import torch

from atrous.data.folder import Sample
from atrous.data.labels import LabelSet
from atrous.data.loader import READ_AHEAD, index_at, load_batches, read_ahead
from atrous.data.open import open_dataset
from atrous.data.transforms import Augmentation, augment
from atrous.errors import DataError

AUGMENTATION = Augmentation(crop_size=(6, 5), scale=(0.7, 1.4), color=0.3)


class MadeUp:
    """Samples made of their number, which remember what was read."""

    label_set = LabelSet(("a", "b"))

    def __init__(self, num_samples=5, *, broken=()):
        self.num_samples = num_samples
        self.broken = broken
        self.read = []

    def __len__(self):
        return self.num_samples

    def __getitem__(self, index):
        self.read.append(index)
        if index in self.broken:
            raise DataError(f"image{index}.png is broken")
        generator = np.random.default_rng(index)
        return Sample(
            f"image{index}",
            generator.integers(0, 256, (9, 8, 3), np.uint8),
            generator.integers(0, 2, (9, 8), np.uint8),
        )


def batches(samples, *, numbers, seed=0, num_threads=2):
    return load_batches(
        samples,
        AUGMENTATION,
        batch_size=2,
        seed=seed,
        numbers=numbers,
        margin=3,
        num_threads=num_threads,
    )


@pytest.mark.parametrize("num_samples", [1, 2, 7])
def test_every_epoch_shows_every_sample_once(num_samples):
    epochs = [
        [
            index_at(epoch * num_samples + place, num_samples=num_samples, seed=3)
            for place in range(num_samples)
        ]
        for epoch in range(6)
    ]
    assert all(sorted(epoch) == list(range(num_samples)) for epoch in epochs)
    assert num_samples < 7 or len(set(map(tuple, epochs))) == 6  # in an order of its own


def test_order_depends_on_seed_and_position_alone():
    forward = [index_at(position, num_samples=5, seed=1) for position in range(40)]
    backward = [index_at(position, num_samples=5, seed=1) for position in reversed(range(40))]
    assert forward == backward[::-1]
    assert forward != [index_at(position, num_samples=5, seed=2) for position in range(40)]


def test_batches_are_what_reading_one_by_one_gives():
    loaded = list(batches(MadeUp(), numbers=range(9), num_threads=3))
    for number, batch in enumerate(loaded):
        assert batch.images.shape == (2, 3, 12, 11)
        assert batch.labels.shape == (2, 6, 5)
        for offset in range(2):
            position = 2 * number + offset
            sample = MadeUp()[index_at(position, num_samples=5, seed=0)]
            crop = augment(sample, AUGMENTATION, np.random.default_rng((0, 1, position)), margin=3)
            assert np.array_equal(batch.images[offset].numpy(), crop.image)
            assert np.array_equal(batch.labels[offset].numpy(), crop.labels)


@pytest.mark.parametrize("start", [1, 2, 7])
def test_a_sequence_goes_on_from_anywhere(start):
    whole = list(batches(MadeUp(), numbers=range(9)))[start:]
    rest = list(batches(MadeUp(), numbers=range(start, 9)))
    assert len(rest) == len(whole)
    for ours, theirs in zip(rest, whole, strict=True):
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.labels, theirs.labels)


def test_two_processes_share_the_sequence():
    whole = list(batches(MadeUp(), numbers=range(6)))
    halves = [list(batches(MadeUp(), numbers=range(rank, 6, 2))) for rank in range(2)]
    for number, batch in enumerate(whole):
        assert torch.equal(halves[number % 2][number // 2].images, batch.images)


def test_reading_ahead_is_bounded():
    samples = MadeUp()
    loading = batches(samples, numbers=range(1000))
    next(loading)
    deadline = time.monotonic() + 5
    while len(samples.read) < 2 * (READ_AHEAD + 1) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)  # were it endless, more would be read now
    assert len(samples.read) == 2 * (READ_AHEAD + 1)
    loading.close()


def test_an_iterator_closed_early_leaves_no_thread():
    before = threading.active_count()
    loading = batches(MadeUp(), numbers=range(1000))
    next(loading)
    assert threading.active_count() > before
    loading.close()
    assert threading.active_count() == before


def test_an_iterator_used_up_leaves_no_thread():
    before = threading.active_count()
    list(batches(MadeUp(), numbers=range(3)))
    assert threading.active_count() == before


def test_an_error_comes_when_its_batch_is_due_and_ends_the_threads():
    before = threading.active_count()
    order = [index_at(position, num_samples=5, seed=0) for position in range(10)]
    broken = order[4]  # in batch 2
    assert broken not in order[:4]
    loading = batches(MadeUp(broken=(broken,)), numbers=range(5))
    next(loading)
    next(loading)
    with pytest.raises(DataError, match=rf"image{broken}\.png is broken"):
        next(loading)
    assert threading.active_count() == before


def test_a_broken_file_is_named(tiny_data):
    dataset = open_dataset(tiny_data, "train")
    (tiny_data / "train/images/train2.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"train2\.png"):
        list(load_batches(dataset, AUGMENTATION, batch_size=4, seed=0, numbers=range(1)))


def test_read_ahead_keeps_the_order_of_slow_and_fast():
    def load(position):
        time.sleep(0.01 * (position % 3 == 0))
        return position

    loaded = list(read_ahead(load, batch_size=3, numbers=range(1, 7, 2), num_threads=3))
    assert loaded == [[3, 4, 5], [9, 10, 11], [15, 16, 17]]
