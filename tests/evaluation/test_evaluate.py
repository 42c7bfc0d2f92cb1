import numpy as np
import pytest
import torch

from atrous.data.folder import Sample
from atrous.data.images import read_index_mask, write_label_map
from atrous.data.labels import LabelSet
from atrous.data.open import open_dataset
from atrous.errors import DataError
from atrous.evaluation.evaluate import count_each, evaluate
from atrous.evaluation.metrics import Counts, confusion_matrix
from atrous.inference.predictor import Predictor
from atrous.models.catalog import build_network


class MadeUp:
    """As many random samples of two classes as wanted."""

    label_set = LabelSet(("a", "b"))

    def __init__(self, num_samples):
        self.num_samples = num_samples

    def __len__(self):
        return self.num_samples

    def __getitem__(self, index):
        generator = np.random.default_rng(index)
        image = generator.integers(0, 256, (10, 12, 3), np.uint8)
        return Sample(f"{index}", image, generator.integers(0, 2, (10, 12), np.uint8))


@pytest.fixture
def predictor():
    torch.manual_seed(0)
    return Predictor(build_network("compact", num_classes=2), device="cpu")


def test_scores_are_those_of_the_label_maps_that_a_checkpoint_writes(tiny_data, tiny_checkpoint, tmp_path):
    dataset = open_dataset(tiny_data, "val")
    predictor = Predictor(tiny_checkpoint, device="cpu")
    scores = evaluate(predictor, dataset)
    expected = np.zeros((3, 3), np.int64)
    for index in range(len(dataset)):
        sample, path = dataset[index], tmp_path / "map.png"
        write_label_map(path, predictor(sample.image).label_map, dataset.label_set)
        expected += confusion_matrix(read_index_mask(path), sample.labels, 3)
    assert np.array_equal(scores.confusion_matrix, expected)
    assert scores.confusion_matrix.sum() == 2 * (48 * 64 - 16)  # all but the ignored corners
    right, union = np.diagonal(expected), expected.sum(0) + expected.sum(1) - np.diagonal(expected)
    assert scores.mean_iou == pytest.approx((right / union).mean())
    assert tuple(scores.per_class_iou) == dataset.label_set.names


def test_counts_of_the_parts_add_up_to_the_whole(predictor):
    dataset = MadeUp(5)
    whole = sum(count_each(predictor, dataset), start=Counts.zeros(2))
    parts = [count_each(predictor, dataset, indices=range(rank, 5, 2)) for rank in range(2)]
    assert sum(1 for _ in count_each(predictor, dataset, indices=range(0, 5, 2))) == 3
    total = sum((counts for part in parts for counts in part), start=Counts.zeros(2))
    assert np.array_equal(total.confusion, whole.confusion)
    assert np.array_equal(total.boundary, whole.boundary)


def test_evaluate_refuses_other_classes(predictor, tiny_data):
    with pytest.raises(DataError, match=r"the network has 2 classes and the data 3 \(ground, wall, sky"):
        evaluate(predictor, open_dataset(tiny_data, "val"))


def test_evaluate_refuses_an_empty_data_set(predictor):
    with pytest.raises(DataError, match="no samples; choose another split"):
        evaluate(predictor, MadeUp(0))


def test_evaluate_names_the_file_that_cannot_be_read(tiny_data, tiny_checkpoint):
    dataset = open_dataset(tiny_data, "val")
    (tiny_data / "val/images/val1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"val1\.png"):
        evaluate(Predictor(tiny_checkpoint, device="cpu"), dataset)
