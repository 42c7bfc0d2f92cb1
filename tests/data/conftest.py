"""A small data set without a mistake, for tests that break it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A data set in the folder layout that tests write into; sizes are (height, width)."""

    path: Path
    size: tuple[int, int] = (10, 12)

    def write_image(self, name, *, seed, size=None):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (*(size or self.size), 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)

    def write_mask(self, name, numbers, *, size=None):
        """A mask that holds these numbers by turns, or just this array."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        mask = np.asarray(numbers, np.uint8)
        Image.fromarray(mask if mask.ndim == 2 else np.resize(mask, size or self.size)).save(path)

    def write_masks(self, numbers, *, splits=("train", "val")):
        """All masks of these splits anew."""
        for split in splits:
            for path in self.masks(split):
                self.write_mask(path, numbers)

    def write_split(self, split, stems):
        for stem in stems:
            self.write_image(f"{split}/images/{stem}.png", seed=(*split.encode(), 0, *stem.encode()))
            self.write_mask(f"{split}/masks/{stem}.png", (0, 1, 2))

    def write_labels(self, *lines):
        (self.path / "labels.toml").write_text("\n".join(lines) + "\n")

    def masks(self, split):
        return sorted((self.path / split / "masks").iterdir())


@pytest.fixture
def folder(tmp_path):
    """Four pairs in train and two in val, three classes, no mistake."""
    folder = DataFolder(tmp_path / "set")
    folder.write_split("train", "abcd")
    folder.write_split("val", "ab")
    folder.write_labels('names = ["sky", "road", "car"]')
    return folder


@pytest.fixture
def isbi(tmp_path, shared_data):
    """The ISBI 2012 slices as train and val, by links; labels.toml is still to be written."""
    source = shared_data / "isbi2012"
    for split, numbers in (("train", range(18)), ("val", range(18, 24))):
        for name, origin in (("images", "images"), ("masks", "labels")):
            (tmp_path / split / name).mkdir(parents=True)
            for number in numbers:
                (tmp_path / split / name / f"{number}.png").symlink_to((source / origin / f"{number}.png").resolve())
    return DataFolder(tmp_path)
