"""How well the outlines of a label map follow those of the truth, counted in boundary pixels. Numpy only."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64, Integer, UInt

from atrous.data.labels import IGNORE

TOLERANCE = 0.0075  # of the image's diagonal; Csurka et al. 2013
SLACK = 1e-9  # so that a step of 0.7 mm is within 0.7 mm, however it rounds


def boundary_counts(
    label_map: Integer[np.ndarray, "*spatial"],
    labels: Integer[np.ndarray, "*spatial"],
    num_classes: int,
    *,
    spacing: Sequence[float] = (),
) -> Int64[np.ndarray, "k 4"]:
    """Boundary pixels of every class of one image, and how many lie near one of the other side.

    Csurka et al. 2013, with two choices of our own. Counts are summed over images before the F-score is
    taken, so it does not depend on how images are grouped. Ignored pixels are cut out of both sides, and the
    edge of the cut is a boundary of both.

    A pixel lies on the boundary of its class if the pixel above, below, left or right of it, within the
    image, is of another class or ignored. Near is within 0.75% of the image's diagonal, and at least 1 px.

    A volume is judged in space, in millimeters, not slice by slice: a voxel has six neighbors, near is within
    a ball of 0.75% of its diagonal, and at least the longest side of a voxel. Slices would score the same
    labels differently along each axis, and miss an outline that is one slice off.

    Args:
        label_map: Predicted classes, 0..num_classes-1; of an image or a volume.
        labels: True classes, or 255.
        num_classes: k.
        spacing: From one pixel to the next along each axis, in any unit; 1 unless given.

    Returns:
        Counts (k, 4): on the boundary in the label map, those near the truth's; in the truth, those near
        the label map's.
    """
    if labels.ndim == 1:  # a sound is an image of one row
        return boundary_counts(label_map[None], labels[None], num_classes)
    steps = np.asarray(spacing or (1.0,) * labels.ndim)
    radius = max(steps.max(), TOLERANCE * float(np.linalg.norm(steps * labels.shape)))
    predicted = np.where(labels == IGNORE, IGNORE, label_map)
    in_map, in_truth = _is_boundary(predicted), _is_boundary(labels)
    near_truth, near_map = np.zeros_like(in_map), np.zeros_like(in_map)
    for first in range(0, num_classes, 64):  # up to 64 classes at once, a bit each
        bits = 1 << np.arange(min(64, num_classes - first), dtype=np.uint64)
        table = np.zeros(IGNORE + 1, np.min_scalar_type(bits[-1]))
        table[first : first + len(bits)] = bits
        of_map, of_truth = table[predicted] * in_map, table[labels] * in_truth
        near_truth |= (of_map & _spread(of_truth, radius, steps)) != 0
        near_map |= (of_truth & _spread(of_map, radius, steps)) != 0
    classes = (predicted[in_map], predicted[near_truth], labels[in_truth], labels[near_map])
    return np.stack([np.bincount(found, minlength=num_classes) for found in classes], axis=1)


def _is_boundary(classes: Integer[np.ndarray, "*spatial"]) -> Bool[np.ndarray, "*spatial"]:
    """Whether a pixel has a class, and a neighbor of another class or of none."""
    found = np.zeros(classes.shape, bool)
    for axis in range(classes.ndim):
        along, marked = np.moveaxis(classes, axis, 0), np.moveaxis(found, axis, 0)
        differ = along[1:] != along[:-1]
        marked[1:] |= differ
        marked[:-1] |= differ
    return found & (classes != IGNORE)


def _spread(
    bits: UInt[np.ndarray, "*spatial"], radius: float, steps: np.ndarray
) -> UInt[np.ndarray, "*spatial"]:
    """Every set bit spread over a disk or ball: over each plane across the first axis, then along it."""
    if bits.ndim == 2:
        return _spread_in_planes(bits, radius, steps)
    out = np.zeros_like(bits)
    for offset in range(min(int(radius / steps[0] + SLACK), len(bits) - 1) + 1):
        disk = float(np.sqrt(max(radius**2 - (offset * steps[0]) ** 2, 0)))
        plane = _spread_in_planes(bits, disk, steps[1:])
        out[offset:] |= plane[: len(plane) - offset]
        out[: len(out) - offset] |= plane[offset:]
    return out


def _spread_in_planes(
    bits: UInt[np.ndarray, "*planes h w"], radius: float, steps: np.ndarray
) -> UInt[np.ndarray, "*planes h w"]:
    """Every set bit spread over a disk of the last two axes: by rows first, then each row up and down."""
    out = np.zeros_like(bits)
    row = bits.copy()  # bits spread by up to `reached` to the left and right
    reached, height = 0, bits.shape[-2]
    limit = (radius * (1 + SLACK)) ** 2
    for dy in range(min(int(radius / steps[0] + SLACK), height - 1), -1, -1):  # the disk widens to its center
        while ((reached + 1) * steps[1]) ** 2 + (dy * steps[0]) ** 2 <= limit:
            reached += 1
            row[..., reached:] |= bits[..., :-reached]
            row[..., :-reached] |= bits[..., reached:]
        out[..., dy:, :] |= row[..., : height - dy, :]
        out[..., : height - dy, :] |= row[..., dy:, :]
    return out
