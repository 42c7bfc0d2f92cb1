"""Labelled volumes so small that a training takes seconds: a bright box with a dark end."""

import json
from pathlib import Path

import nibabel
import numpy as np

SIZE = (10, 14, 9)


def labelled_volume(seed):
    generator = np.random.default_rng(seed)
    labels = np.zeros(SIZE, np.uint8)
    low = generator.integers(1, 4, 3)
    x, y, z = low
    labels[x : x + 4, y : y + 4, z : z + 4] = 1
    labels[x : x + 4, y + 4 : y + 8, z : z + 4] = 2
    values = np.array([100.0, 180.0, 260.0])[labels] + generator.normal(0, 15, SIZE)
    return values.astype(np.float32), labels


def write_decathlon(root: Path, count: int) -> Path:
    """A data set in the Decathlon's layout."""
    for number in range(count):
        for folder, data in zip(("imagesTr", "labelsTr"), labelled_volume(number), strict=True):
            (root / folder).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), root / folder / f"v{number:02d}.nii.gz")
    labels = {"0": "background", "1": "front", "2": "back"}
    (root / "dataset.json").write_text(json.dumps({"labels": labels}))
    return root
