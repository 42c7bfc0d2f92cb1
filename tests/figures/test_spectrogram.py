import numpy as np
import pytest

from atrous.errors import ShapeError
from atrous.figures.spectrogram import draw_spectrograms

RATE = 8000


def tone(hertz, num_samples=4000):
    return np.sin(2 * np.pi * hertz * np.arange(num_samples) / RATE).astype(np.float32)


def power_of(axes):
    power = axes.images[0].get_array()
    assert power is not None
    return power


@pytest.mark.parametrize("hertz", [500, 1500, 3000])
def test_a_tone_is_brightest_at_its_pitch(hertz):
    axes = draw_spectrograms({"tone": tone(hertz)}, sample_rate=RATE).axes[0]
    power = power_of(axes)
    low, high = axes.images[0].get_extent()[2:]
    assert (low, high) == (0, RATE / 2000)
    rows = np.linspace(0, high * 1000, power.shape[0])
    assert rows[power.mean(1).argmax()] == pytest.approx(hertz, abs=62.5)


def test_sounds_share_their_scales():
    figure = draw_spectrograms({"loud": tone(500), "quiet": 0.01 * tone(500, 2000)}, sample_rate=RATE)
    loud, quiet = figure.axes[:2]
    assert loud.images[0].get_clim() == quiet.images[0].get_clim()
    assert loud.get_xlim() == quiet.get_xlim() == (0, 0.5)
    difference = power_of(loud).max() - power_of(quiet).max()
    assert difference == pytest.approx(40, abs=0.5)  # a hundredth of the amplitude
    assert quiet.get_title() == "quiet"


@pytest.mark.parametrize("num_samples", [1, 5])
def test_the_shortest_sounds_are_drawn(num_samples):
    assert draw_spectrograms({"a": tone(500, num_samples)}, sample_rate=RATE).axes[0].images


def test_nothing_is_not_drawn():
    with pytest.raises(ShapeError, match="give some, of a sample or more each"):
        draw_spectrograms({}, sample_rate=RATE)
    with pytest.raises(ShapeError, match="'a': 0"):
        draw_spectrograms({"a": tone(500, 0)}, sample_rate=RATE)
