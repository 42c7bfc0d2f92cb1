"""A recipe for sounds that nobody gave one for, and the reasons."""

from dataclasses import replace

import numpy as np

from atrous.data.voice import Recordings
from atrous.errors import ConfigError
from atrous.jobs.pick import LEAST_STEPS, LOOKED_AT, MOST_EPOCHS, Choice, seconds_per_step
from atrous.jobs.train import TrainConfig
from atrous.models.catalog import build_network
from atrous.training.settings import Stage

LONGEST_CROP = 8192  # samples
BATCH_SIZE = 4


def pick_for_sounds(config: TrainConfig, dataset: Recordings) -> Choice:
    """Network (unless the config names one), crop, schedule and steps, as measured in docs/sound.md.

    Raises:
        ConfigError: If the named network takes no sounds.
    """
    name, why = (config.network, "as you asked") if config.network else ("wavenet", "the data are sounds")
    voice = dataset.voice
    network = build_network(name, num_classes=voice.num_outputs, in_channels=voice.in_channels)
    if network.num_axes != 1:
        raise ConfigError(f"{name} takes no sounds; choose wavenet, or one like it")
    indices = np.linspace(0, len(dataset) - 1, min(LOOKED_AT, len(dataset))).round().astype(int)
    median = int(np.median([len(dataset[int(index)].samples) for index in indices]))
    crop = min(LONGEST_CROP, max(256, median))
    seconds = seconds_per_step(network, config, (BATCH_SIZE, network.num_channels, crop))
    most = max(1, MOST_EPOCHS * len(dataset) * max(1, median // crop) // BATCH_SIZE)
    num_steps = max(LEAST_STEPS, min(int(config.minutes * 60 / seconds), most))
    said = (
        f"{len(voice.conditions)} conditions: {', '.join(voice.conditions[:6])}"
        if voice.conditions
        else "none"
    )
    reasons = (
        f"network {name}: {why}, at {voice.sample_rate} Hz; it sees {network.receptive_field:,} samples, "
        f"{network.receptive_field / voice.sample_rate:.2f} s",
        f"conditions, from folders or names of files: {said}",
        f"crops of {crop:,} samples: sounds are about {median:,} long; beyond {LONGEST_CROP:,} it is slow",
        f"{num_steps} steps of {BATCH_SIZE} crops, at least {LEAST_STEPS}: a step takes {seconds:.2f} s on "
        f"this machine, {config.minutes:g} minutes are allowed (--minutes), and {len(dataset)} sounds are "
        f"worth {MOST_EPOCHS} epochs at most",
    )
    stage = Stage(
        num_steps=num_steps,
        batch_size=BATCH_SIZE,
        crop_size=(crop,),
        mirror=False,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=0.01,
        warmup_steps=50,
    )
    return Choice(replace(config, network=name, front_end=stage), reasons)
