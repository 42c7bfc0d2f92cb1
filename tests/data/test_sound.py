"""Sounds of any file: rate, channels, depth, length; and files that are broken."""

from pathlib import Path

import numpy as np
import pytest

from atrous.data import sound
from atrous.data.sound import read_blocks, read_sound, sample_rate_of, write_sound
from atrous.errors import DataError

soundfile = pytest.importorskip("soundfile", reason="needs the extra audio")
signal = pytest.importorskip("scipy.signal", reason="needs the extra audio")

RATES = [(44_100, 8_000), (8_000, 16_000), (96_000, 8_000), (8_000, 44_100), (22_050, 16_000), (7_999, 8_000)]


def tone(num_samples: int, *, rate: int, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(num_samples) / rate)).astype(np.float32)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_U8", "FLOAT"])
def test_samples_of_any_depth_come_back(tmp_path, subtype):
    samples = tone(1000, rate=8000)
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype=subtype)
    found = read_sound(tmp_path / "a.wav", sample_rate=8000)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, samples, atol=1 / 127 if subtype == "PCM_U8" else 1 / 32767)


def test_channels_are_averaged(tmp_path):
    left, right = tone(500, rate=8000), tone(500, rate=8000, hertz=300)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 8000, subtype="FLOAT")
    np.testing.assert_allclose(
        read_sound(tmp_path / "a.wav", sample_rate=8000), (left + right) / 2, atol=1e-6
    )


@pytest.mark.parametrize(("given", "wanted"), RATES)
@pytest.mark.parametrize("num_samples", [1, 5, 300, 7000, 23_456])
def test_blocks_are_resampled_as_the_whole(tmp_path, monkeypatch, given, wanted, num_samples):
    samples = np.random.default_rng(0).uniform(-1, 1, num_samples).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, given, subtype="FLOAT")
    whole = signal.resample_poly(samples, wanted // np.gcd(given, wanted), given // np.gcd(given, wanted))
    monkeypatch.setattr(sound, "BLOCK", 1000)
    blocks = list(read_blocks(tmp_path / "a.wav", sample_rate=wanted))
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-5)
    assert num_samples < 7000 or given == 7_999 or len(blocks) > 3  # whose filter is longer than all


def test_a_tone_keeps_its_pitch_at_another_rate(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(96_000, rate=96_000), 96_000)
    found = read_sound(tmp_path / "a.wav", sample_rate=8000)
    assert len(found) == 8000
    np.testing.assert_allclose(found[200:-200], tone(8000, rate=8000)[200:-200], atol=2e-3)


def test_what_is_written_is_read(tmp_path):
    samples = tone(800, rate=16_000)
    write_sound(tmp_path / "a.wav", samples, sample_rate=16_000)
    assert sample_rate_of(tmp_path / "a.wav") == 16_000
    np.testing.assert_allclose(read_sound(tmp_path / "a.wav", sample_rate=16_000), samples, atol=1 / 32_767)


def test_one_sample_is_a_sound(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.25], np.float32), 8000)
    assert read_sound(tmp_path / "a.wav", sample_rate=8000).shape == (1,)


def _empty(path: Path) -> None:
    soundfile.write(path, np.zeros(0, np.float32), 8000)


def _cut(path: Path) -> None:
    soundfile.write(path, tone(1000, rate=8000), 8000)
    path.write_bytes(path.read_bytes()[:-400])


def _text(path: Path) -> None:
    path.write_text("no sound")


def _nothing(path: Path) -> None:
    path.touch()


def _nan(path: Path) -> None:
    soundfile.write(path, np.array([0.0, np.nan], np.float32), 8000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_empty, "holds no samples; leave it out"),
        (_cut, r"is cut short: 1,644 of 2,044 bytes are there; copy it again"),
        (_text, "is no sound that can be read"),
        (_nothing, "is no sound that can be read"),
        (_nan, "samples that are not finite"),
        (lambda path: None, "no sound at"),  # noqa: ARG005
    ],
)
def test_broken_files_are_told(tmp_path, make, words):
    path = tmp_path / "a.wav"
    make(path)
    with pytest.raises(DataError, match=words) as caught:
        read_sound(path, sample_rate=8000)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("format", "ending", "subtype"),
    [
        ("OGG", ".ogg", "VORBIS"),
        ("OGG", ".ogg", "OPUS"),
        ("MP3", ".mp3", "MPEG_LAYER_III"),
        ("AIFF", ".aiff", "PCM_16"),
        ("RF64", ".wav", "PCM_16"),
        ("W64", ".wav", "PCM_16"),
        ("WAV", ".wav", "PCM_24"),
        ("FLAC", ".flac", "PCM_16"),
    ],
)
def test_a_file_of_any_format_is_read_whole_and_refused_when_cut(tmp_path, format, ending, subtype):
    path = tmp_path / f"a{ending}"
    samples = tone(48_000, rate=48_000)
    soundfile.write(path, samples, 48_000, format=format, subtype=subtype)
    assert len(read_sound(path, sample_rate=48_000)) == pytest.approx(48_000, abs=2500)  # MP3 pads
    whole = path.read_bytes()
    for share in (0.3, 0.6, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DataError, match=r"cut short|can be read|ends after"):
            read_sound(path, sample_rate=48_000)


def test_a_rate_beyond_reason_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(100, rate=8000), 8000)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[24:28] = (2**31 - 1).to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    for read in (lambda path: read_sound(path, sample_rate=8000), sample_rate_of):
        with pytest.raises(DataError, match=r"has 2,147,483,647 samples a second by its header"):
            read(tmp_path / "a.wav")
