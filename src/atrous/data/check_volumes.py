"""What only a set of volumes can have wrong: voxels of several sizes."""

from collections.abc import Sequence

import numpy as np

from atrous.data.check_report import Problem
from atrous.data.check_tally import Tally

LARGEST_RATIO = 1.1  # of voxel sizes along an axis: zooms of training reach as far


def spacing_problems(tallies: Sequence[Tally]) -> list[Problem]:
    """Voxels of clearly different sizes: a network counts voxels, not millimeters."""
    spacings = np.array([spacing for tally in tallies for spacing in tally.spacings])
    if not spacings.size:
        return []
    low, high = spacings.min(0), spacings.max(0)
    if (high / low).max() <= LARGEST_RATIO:
        return []
    sizes = ", ".join(f"{name} {a:.3g}-{b:.3g} mm" for name, a, b in zip("xyz", low, high, strict=True))
    sentence = (
        f"voxels have several sizes ({sizes}), and a network counts voxels, not millimeters; resample all "
        "volumes and masks to one size"
    )
    return [Problem("note", "voxel sizes differ", sentence)]
