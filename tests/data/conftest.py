"""A small data set without a mistake, for tests that break it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.data.check import check_dataset

SIZE = (10, 12)  # height and width of every image unless said


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A data set in the folder layout; sizes are (height, width)."""

    path: Path

    def write_image(self, name, *, seed, size=SIZE):
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        self._save(name, pixels)

    def write_mask(self, name, numbers, *, size=SIZE):
        """A mask that holds these numbers by turns."""
        self._save(name, np.resize(np.array(numbers, np.uint8), size))

    def write_masks(self, numbers, *, splits=("train", "val")):
        """All masks of these splits anew."""
        for split in splits:
            for name in self.masks(split):
                self.write_mask(name, numbers)

    def write_pairs(self, split, stems):
        for stem in stems:
            self.write_image(f"{split}/images/{stem}.png", seed=(*split.encode(), *stem.encode()))
            self.write_mask(f"{split}/masks/{stem}.png", (0, 1, 2))

    def write_labels(self, *lines):
        (self.path / "labels.toml").write_text("\n".join(lines) + "\n")

    def masks(self, split):
        return sorted(f"{split}/masks/{path.name}" for path in (self.path / split / "masks").iterdir())

    def check(self, **options):
        return check_dataset(self.path, **options)

    def find_error(self, **options):
        """The one problem there is, an error."""
        (problem,) = self.check(**options).problems
        assert problem.severity == "error"
        return problem

    def find_note(self, **options):
        """The one problem there is, a note."""
        (problem,) = self.check(**options).problems
        assert problem.severity == "note"
        return problem

    def _save(self, name, pixels):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    """Four pairs in train and two in val, three classes, no mistake."""
    folder = DataFolder(tmp_path / "set")
    folder.write_pairs("train", "abcd")
    folder.write_pairs("val", "ab")
    folder.write_labels('names = ["sky", "road", "car"]')
    return folder
