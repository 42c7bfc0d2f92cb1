import numpy as np
import pytest
import torch

from atrous.data.open import open_dataset
from atrous.jobs.progress import drain
from atrous.jobs.training_run import frequency_weights, launch


def test_frequency_weights_are_median_frequency_over_frequency(tiny_data):
    """Eigen & Fergus 2015: a class's frequency is its share of the pixels of the images that show it."""
    dataset = open_dataset(tiny_data, "train")
    frequencies = []
    for label in range(3):
        shown = [
            sample.labels for sample in map(dataset.__getitem__, range(4)) if (sample.labels == label).any()
        ]
        pixels = sum(int((labels == label).sum()) for labels in shown)
        frequencies.append(pixels / sum(int((labels != 255).sum()) for labels in shown))
    weights = drain(frequency_weights(dataset))
    assert weights.tolist() == pytest.approx((np.median(frequencies) / frequencies).tolist())


def test_launch_alone_is_one_process_in_the_wanted_precision():
    fabric = launch(device="cpu", precision="float32")
    assert (fabric.world_size, fabric.global_rank, fabric.device) == (1, 0, torch.device("cpu"))
    assert fabric._precision.precision == "32-true"
    assert launch(device="cpu", precision="bfloat16")._precision.precision == "bf16-mixed"
