"""NIfTI files that the tests of volumes read."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np

AFFINE = np.array([[-0.7, 0.1, 0, 30], [0.1, 0.7, 0, -20], [0, 0, 1.5, 11], [0, 0, 0, 1]])


def save(path, data, *, affine=AFFINE, scaling=(None, None), kind=nibabel.Nifti1Image) -> Path:
    """Write a volume that has a place, units and, where asked, a scaling of its numbers."""
    image = kind(data, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=4)
    image.header.set_slope_inter(*scaling)
    nibabel.save(image, path)
    return path


def load(path) -> Any:
    return nibabel.load(path)


def some_volume(dtype: type = np.int16):
    return np.random.default_rng(0).normal(300, 200, (14, 11, 9)).astype(dtype)
