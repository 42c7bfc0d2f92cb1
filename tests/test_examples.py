"""The examples run as the docs say, and what they print is what they promise to show."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent


def run_example(name, output):
    """What it prints, and the names of its pictures."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / name), "--output", str(output)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 0, done.stderr
    pictures = sorted(output.iterdir())
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
