"""Sounds as pictures: how loud each pitch is at each moment, side by side on one scale."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32
from matplotlib.figure import Figure
from matplotlib.mlab import specgram

from atrous.errors import ShapeError
from atrous.figures.canvas import INK, tidy

WINDOW = 0.016  # seconds: pitches 60 Hz apart are told apart
OVERLAP = 7 / 8
RANGE = 70.0  # dB from the loudest to what is drawn as silence
WIDTH, HEIGHT = 2.6, 2.9  # inches, of one sound


def draw_spectrograms(sounds: Mapping[str, Float32[np.ndarray, " _t"]], *, sample_rate: int) -> Figure:
    """A picture a sound: time to the right, pitch upward, light where it is loud; one scale for all.

    Args:
        sounds: Samples from -1 to 1, by what stands above them; none is empty.
        sample_rate: Of all, Hz.

    Raises:
        ShapeError: If there is no sound, or one has no samples.
    """
    if not sounds or any(samples.size == 0 for samples in sounds.values()):
        lengths = {name: samples.size for name, samples in sounds.items()}
        raise ShapeError(f"sounds of {lengths} samples make no picture; give some, of a sample or more each")
    figure = Figure(figsize=(max(4.0, WIDTH * len(sounds) + 1), HEIGHT), layout="constrained")
    row = figure.subplots(1, len(sounds), squeeze=False, sharey=True)[0]
    powers = {name: _decibels(samples, sample_rate) for name, samples in sounds.items()}
    loudest = max(float(power.max()) for power in powers.values())
    longest = max(samples.size for samples in sounds.values()) / sample_rate
    for axes, (name, power) in zip(row, powers.items(), strict=True):
        seconds = sounds[name].size / sample_rate
        axes.imshow(
            power, origin="lower", aspect="auto", cmap="magma", vmin=loudest - RANGE, vmax=loudest,
            extent=(0, seconds, 0, sample_rate / 2000), interpolation="nearest",
        )  # fmt: skip
        tidy(axes)
        axes.grid(visible=False)
        axes.set_xlim(0, longest)
        axes.set_title(name, fontsize=10, color=INK)
        axes.set_xlabel("s", fontsize=9)
    row[0].set_ylabel("kHz", fontsize=9)
    bar = figure.colorbar(row[0].images[0], ax=list(row), pad=0.02, aspect=30)
    bar.set_label("dB below the loudest", fontsize=9)
    bar.set_ticks([loudest - lower for lower in (0, 20, 40, 60)], labels=["0", "20", "40", "60"])
    bar.ax.tick_params(labelsize=8)
    return figure


def _decibels(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Power (pitches, moments) in dB; short sounds get silence behind them."""
    window = max(2, round(WINDOW * sample_rate))
    padded = np.pad(samples, (0, max(0, 2 * window - samples.size)))
    power, _, _ = specgram(padded, NFFT=window, Fs=sample_rate, noverlap=int(window * OVERLAP))
    return 10 * np.log10(np.maximum(power, 1e-12))
