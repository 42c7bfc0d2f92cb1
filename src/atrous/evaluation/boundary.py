"""How well the outlines of a label map follow those of the truth, counted in boundary pixels. Numpy only."""

import math

import numpy as np
from jaxtyping import Bool, Int64, Integer, UInt

from atrous.data.labels import IGNORE

TOLERANCE = 0.0075  # of the image's diagonal; Csurka et al. 2013


def boundary_counts(
    label_map: Integer[np.ndarray, "h w"], labels: Integer[np.ndarray, "h w"], num_classes: int
) -> Int64[np.ndarray, "k 4"]:
    """Boundary pixels of every class of one image, and how many lie near one of the other side.

    Csurka et al. 2013, with two choices of our own. Counts are summed over images before the F-score is
    taken, so it does not depend on how images are grouped. Ignored pixels are cut out of both sides, and the
    edge of the cut is a boundary of both.

    A pixel lies on the boundary of its class if the pixel above, below, left or right of it, within the
    image, is of another class or ignored. Near is within 0.75% of the image's diagonal, and at least 1 px.

    Args:
        label_map: Predicted classes, 0..num_classes-1.
        labels: True classes, or 255.
        num_classes: k.

    Returns:
        Counts (k, 4): on the boundary in the label map, those near the truth's; in the truth, those near
        the label map's.
    """
    radius = max(1.0, TOLERANCE * math.hypot(*labels.shape))
    predicted = np.where(labels == IGNORE, IGNORE, label_map)
    in_map, in_truth = _is_boundary(predicted), _is_boundary(labels)
    near_truth, near_map = np.zeros_like(in_map), np.zeros_like(in_map)
    for first in range(0, num_classes, 64):  # up to 64 classes at once, a bit each
        bits = 1 << np.arange(min(64, num_classes - first), dtype=np.uint64)
        table = np.zeros(IGNORE + 1, np.min_scalar_type(bits[-1]))
        table[first : first + len(bits)] = bits
        of_map, of_truth = table[predicted] * in_map, table[labels] * in_truth
        near_truth |= (of_map & _spread(of_truth, radius=radius)) != 0
        near_map |= (of_truth & _spread(of_map, radius=radius)) != 0
    classes = (predicted[in_map], predicted[near_truth], labels[in_truth], labels[near_map])
    return np.stack([np.bincount(found, minlength=num_classes) for found in classes], axis=1)


def _is_boundary(classes: Integer[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Whether a pixel has a class, and a neighbor of another class or of none."""
    found = np.zeros(classes.shape, bool)
    differ = classes[1:] != classes[:-1]
    found[1:] |= differ
    found[:-1] |= differ
    differ = classes[:, 1:] != classes[:, :-1]
    found[:, 1:] |= differ
    found[:, :-1] |= differ
    return found & (classes != IGNORE)


def _spread(bits: UInt[np.ndarray, "h w"], *, radius: float) -> UInt[np.ndarray, "h w"]:
    """Every set bit spread over a disk: dilation by rows first, then each row up and down."""
    out = np.zeros_like(bits)
    row = bits.copy()  # bits spread by up to `reached` to the left and right
    reached = 0
    for dy in range(min(int(radius), len(bits) - 1), -1, -1):  # the disk is wider the nearer to its center
        while (reached + 1) ** 2 + dy**2 <= radius**2:
            reached += 1
            row[:, reached:] |= bits[:, :-reached]
            row[:, :-reached] |= bits[:, reached:]
        out[dy:] |= row[: len(row) - dy]
        out[: len(out) - dy] |= row[dy:]
    return out
