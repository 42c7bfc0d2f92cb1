import resource
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from safetensors.numpy import load_file

from atrous.data.labels import LabelSet
from atrous.data.loader import index_at
from atrous.data.open import open_dataset
from atrous.data.order import in_order_of
from atrous.errors import DataError, OutputError, TrainingError
from atrous.inference.machine import Precision
from atrous.inference.predictor import Predictor
from atrous.jobs.cached_scores import ScoreCache, can_cache
from atrous.jobs.progress import drain
from atrous.jobs.training_data import cached_examples, score_examples
from atrous.models.catalog import build_network
from atrous.training.settings import Stage

STRIDE = 4
STAGE = Stage(num_steps=8, batch_size=2, crop_size=(48, 64), mirror=False)


@pytest.fixture
def front_end():
    torch.manual_seed(0)
    return build_network("compact", num_classes=3)


@pytest.fixture
def dataset(tiny_data):
    return open_dataset(tiny_data, "train")


@pytest.fixture
def cache(front_end, dataset, tmp_path):
    cache = ScoreCache.of(front_end, dataset, tmp_path / "scores")
    drain(cache.fill(front_end, mirror=True, device="cpu", precision="float32"))
    return cache


def taken(cache, stage, numbers=range(8), *, seed=0):
    return list(cache.examples(stage, numbers=numbers, seed=seed))


def test_scores_on_disk_are_those_of_whole_images_and_of_mirrored_ones(cache, front_end, dataset):
    predictor = Predictor(front_end, device="cpu")
    for index in range(len(dataset)):
        for mirrored, step in ((False, 1), (True, -1)):
            stored = load_file(cache.path(index, mirrored=mirrored))
            scores = predictor.scores(dataset[index].image[:, ::step]).numpy()
            assert np.array_equal(stored["scores"], scores.astype(np.float16))
            assert np.array_equal(stored["labels"], dataset[index].labels[:, ::step])


def test_a_cache_half_filled_is_filled_and_the_rest_left(cache, front_end):
    paths = sorted(cache.folder.iterdir())
    content = {path: path.read_bytes() for path in paths}
    kept = paths[0].stat().st_mtime_ns
    for path in paths[1:4]:
        path.unlink()
    drain(cache.fill(front_end, mirror=True, device="cpu", precision="float32"))
    assert sorted(cache.folder.iterdir()) == paths
    assert paths[0].stat().st_mtime_ns == kept
    for path in paths:
        assert load_file(path)["scores"].dtype == np.float16
        assert len(path.read_bytes()) == len(content[path])


def test_scores_that_cannot_be_stored_are_refused(front_end, dataset, tmp_path):
    with torch.no_grad():
        front_end.layers.final.bias[1] = 70_000.0
    cache = ScoreCache.of(front_end, dataset, tmp_path / "scores")
    with pytest.raises(
        TrainingError, match=r"the front end gives train0 the score 7\d{4}.*, beyond what is stored"
    ):
        drain(cache.fill(front_end, mirror=True, device="cpu", precision="float32"))


def test_a_cache_belongs_to_the_weights(cache, front_end, dataset, tmp_path):
    assert ScoreCache.of(front_end, dataset, tmp_path / "scores").folder == cache.folder
    with torch.no_grad():
        next(front_end.parameters()).add_(1e-3)
    assert ScoreCache.of(front_end, dataset, tmp_path / "scores").folder != cache.folder


def test_a_cache_belongs_to_the_data_and_the_precision(cache, front_end, dataset, tiny_data, tmp_path):
    def folder(samples, precision: Precision = "float32"):
        return ScoreCache.of(front_end, samples, tmp_path / "scores", precision=precision).folder

    assert folder(dataset) == cache.folder
    assert folder(dataset, "bfloat16") != cache.folder
    assert folder(open_dataset(tiny_data, "val")) != cache.folder
    reordered = in_order_of(dataset, LabelSet(("sky", "ground", "wall")))
    assert folder(reordered) != cache.folder
    image = tiny_data / "train/images/train2.png"
    image.write_bytes(image.read_bytes() + b" ")
    assert folder(dataset) != cache.folder
    image.unlink()
    assert folder(dataset) != cache.folder  # and filling it names what is missing


def test_cached_examples_of_whole_images_are_the_uncached_ones(cache, front_end, dataset):
    """The same images in the same order, with the scores in half precision."""
    fabric = Fabric(accelerator="cpu", devices=1)
    assert can_cache(STAGE)
    pairs = zip(
        cached_examples(cache, STAGE, fabric=fabric, seed=5, start=2),
        score_examples(dataset, front_end, STAGE, fabric=fabric, seed=5, start=2),
        strict=True,
    )
    for (scores, labels), (exact, exact_labels) in pairs:
        assert torch.equal(labels, exact_labels)
        assert scores.dtype == torch.float32
        torch.testing.assert_close(scores, exact, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("crop_size", [(16, 24), (18, 22), (60, 32), (100, 100)])
@pytest.mark.parametrize("loss_stride", [1, 2, STRIDE])
def test_crops_hold_the_labels_of_their_cells(cache, dataset, crop_size, loss_stride):
    """Each crop is found again in the whole map by its first valid label's place; both must agree there."""
    stage = replace(STAGE, crop_size=crop_size, loss_stride=loss_stride, mirror=True)
    cells = [-(-side // STRIDE) for side in crop_size]
    for number, (scores, labels) in enumerate(taken(cache, stage)):
        assert scores.shape == (2, 3, *cells)
        assert labels.shape == (2, *(-(-side * STRIDE // loss_stride) for side in cells))
        for offset in range(2):
            index = index_at(2 * number + offset, num_samples=len(dataset), seed=0)
            assert any(
                matches(cache.path(index, mirrored=mirrored), scores[offset], labels[offset], loss_stride)
                for mirrored in (False, True)
            )


def matches(path, scores, labels, loss_stride):
    """Whether the crop is some window of the stored map: cells reflected, labels ignored beyond it."""
    stored = load_file(path)
    whole, truth = stored["scores"].astype(np.float32), stored["labels"]
    height, width = scores.shape[1:]
    reach = max(height, width)
    padded = np.pad(whole, ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
    around = np.pad(truth, reach * STRIDE, constant_values=255)
    for top in range(min(0, whole.shape[1] - height), max(0, whole.shape[1] - height) + 1):
        for left in range(min(0, whole.shape[2] - width), max(0, whole.shape[2] - width) + 1):
            row, column = top + reach, left + reach
            window = around[row * STRIDE :, column * STRIDE :][: height * STRIDE, : width * STRIDE]
            if np.array_equal(labels, window[::loss_stride, ::loss_stride]) and np.array_equal(
                scores, padded[:, row : row + height, column : column + width]
            ):
                return True
    return False


def test_crops_depend_on_seed_and_position_alone(cache):
    stage = replace(STAGE, crop_size=(16, 16), mirror=True)
    whole, rest = taken(cache, stage), taken(cache, stage, range(3, 8))
    for (scores, labels), (again, labels_again) in zip(whole[3:], rest, strict=True):
        assert torch.equal(scores, again)
        assert torch.equal(labels, labels_again)
    other = taken(cache, stage, seed=1)
    assert not all(torch.equal(first[0], second[0]) for first, second in zip(whole, other, strict=True))


def test_mirrored_scores_are_used_half_of_the_time(cache, dataset):
    stage = replace(STAGE, mirror=True, num_steps=100, batch_size=1)
    examples = islice(cache.examples(stage, numbers=range(100), seed=0), 100)
    mirrored = 0
    for position, (_, labels) in enumerate(examples):
        truth = dataset[index_at(position, num_samples=len(dataset), seed=0)].labels
        flipped = np.array_equal(labels[0], truth[:, ::-1])
        assert flipped or np.array_equal(labels[0], truth)
        mirrored += flipped
    assert 30 < mirrored < 70


@pytest.mark.parametrize(
    ("change", "expected"), [({}, True), ({"scale": (0.5, 1.0)}, False), ({"color": 0.1}, False)]
)
def test_scores_are_cached_where_every_image_is_seen_unchanged(change, expected):
    assert can_cache(replace(STAGE, **change)) is expected


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_broken_file_of_the_cache_is_named(cache, damage):
    path = cache.path(1, mirrored=False)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:50])
    else:
        path.unlink()
    with pytest.raises(DataError, match=r"000001\.safetensors are broken .*remove them to have them made"):
        taken(cache, STAGE)


def test_a_full_disk_is_told_and_the_rest_stays(cache, front_end):
    cache.path(2, mirrored=False).unlink()
    before = sorted(cache.folder.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # bytes a file; what a disk of that size does
    try:
        with pytest.raises(OutputError, match=r"cannot write .*000002\.safetensors .*; what was there"):
            drain(cache.fill(front_end, mirror=False, device="cpu", precision="float32"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(cache.folder.iterdir()) == before
