"""A recipe for volumes that nobody gave one for, and the reasons."""

from dataclasses import replace

import numpy as np

from atrous.data.samples import Samples
from atrous.jobs.pick import LEAST_STEPS, LOOKED_AT, MOST_EPOCHS, Choice, seconds_per_step
from atrous.jobs.train import TrainConfig
from atrous.models.catalog import build_network
from atrous.training.settings import Stage

LARGEST_CROP = 48  # voxels; beyond it is slow, and context3d sees 35
BATCH_SIZE = 2


def pick_for_volumes(config: TrainConfig, dataset: Samples) -> Choice:
    """Network (unless the config names one), crop, schedule and steps, as measured in docs/volumes.md."""
    name, why = (config.network, "as you asked") if config.network else ("context3d", "the data are volumes")
    network = build_network(name, num_classes=dataset.label_set.num_classes)
    indices = np.linspace(0, len(dataset) - 1, min(LOOKED_AT, len(dataset))).round().astype(int)
    median = np.median([dataset[int(index)].labels.shape for index in indices], axis=0).astype(int)
    crop = tuple(int(min(LARGEST_CROP, max(8, side // 8 * 8))) for side in median)
    seconds = seconds_per_step(network, config, (BATCH_SIZE, network.num_channels, *crop))
    most = MOST_EPOCHS * len(dataset) // BATCH_SIZE
    num_steps = max(LEAST_STEPS, min(int(config.minutes * 60 / seconds), most))
    sizes, sides = (" x ".join(map(str, numbers)) for numbers in (median, crop))
    reasons = (
        f"network {name}: {why}",
        f"crops of {sides} voxels: volumes are about {sizes}, and beyond {LARGEST_CROP} it is slow",
        f"{num_steps} steps of {BATCH_SIZE} crops, at least {LEAST_STEPS}: a step takes {seconds:.2f} s on "
        f"this machine, {config.minutes:g} minutes are allowed (--minutes), and {len(dataset)} volumes are "
        f"worth {MOST_EPOCHS} epochs at most",
        "no flips: anatomy has sides; set mirror, or flips, where yours has not",
    )
    stage = Stage(
        num_steps=num_steps,
        batch_size=BATCH_SIZE,
        crop_size=crop,
        scale=(0.9, 1.1),
        mirror=False,
        color=0.2,
        optimizer="adamw",
        learning_rate=5e-3,
        weight_decay=0.01,
        warmup_steps=20,
        loss="cross_entropy+dice",
    )
    return Choice(replace(config, network=name, front_end=stage), reasons)
