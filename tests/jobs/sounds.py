"""Sounds so small that a training takes seconds: tones of two pitches, and tones between silences."""

from pathlib import Path

import numpy as np

from atrous.data.label_tracks import write_label_track
from atrous.data.labels import LabelSet
from atrous.data.sound import write_sound

RATE = 4000
PITCHES = {"high": 900.0, "low": 250.0}
CLASSES = LabelSet(("silence", "tone"))


def tone(num_samples: int, hertz: float, *, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.01, num_samples)
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(num_samples) / RATE) + noise).astype(np.float32)


def write_tones(root: Path, count: int = 10) -> Path:
    """DATA/PITCH_NUMBER.wav, all of other lengths."""
    for name, hertz in PITCHES.items():
        for number in range(count):
            samples = tone(120 + 7 * number, hertz, seed=number)
            write_sound(root / f"{name}_{number}.wav", samples, sample_rate=RATE)
    return root


def write_tracks(root: Path) -> Path:
    """DATA/SPLIT/{sounds,labels} with a tone in the middle third."""
    for split, numbers in (("train", (1, 2, 3)), ("val", (0,))):
        for number in numbers:
            third = 100 + 10 * number
            samples = np.random.default_rng(number).normal(0, 0.01, 3 * third).astype(np.float32)
            samples[third : 2 * third] += tone(third, 400.0)
            stretches = [(0, third, 0), (third, 2 * third, 1), (2 * third, 3 * third, 0)]
            write_sound(root / split / "sounds" / f"{number}.wav", samples, sample_rate=RATE)
            write_label_track(root / split / "labels" / f"{number}.txt", stretches, CLASSES, sample_rate=RATE)
    (root / "labels.toml").write_text('names = ["silence", "tone"]\n')
    return root
