"""Volumes with their axes to the right, to the front and up, however stored, and the way back."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Shaped

from atrous.errors import DataError

SAME = 1e-3  # of a voxel: affines that differ by less lie on one grid


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a file orders the axes of a volume; see `orientation_of`.

    Attributes:
        axes: For right, front and up, the axis of the array that lies nearest to it.
        flipped: For each of these, whether the array counts against it.
        spacing: For each of these, millimeters from one voxel to the next.
    """

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    spacing: tuple[float, float, float]

    def upright(self, array: Shaped[np.ndarray, "i j k"]) -> Shaped[np.ndarray, "x y z"]:
        """An array as the file has it, with x to the right, y to the front, z up; a view."""
        turned = array.transpose(self.axes)
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]

    def as_stored(self, array: Shaped[np.ndarray, "x y z"]) -> Shaped[np.ndarray, "i j k"]:
        """The inverse of `upright`; a view."""
        back = array[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]
        return back.transpose(np.argsort(self.axes))


def orientation_of(affine: Float64[np.ndarray, "4 4"], *, source: str) -> Orientation:
    """The orientation of a volume with this affine, which takes voxels to millimeters right, front, up.

    Each axis of the array stands for the direction of the body that it is nearest to, the clearest first.

    Args:
        affine: As NIfTI has it.
        source: Names the volume in messages.

    Raises:
        DataError: If an axis of the array leads nowhere.
    """
    with np.errstate(over="ignore"):
        spacing = np.sqrt((affine[:3, :3] ** 2).sum(0))
    if not ((spacing > 0) & (spacing < np.inf)).all():
        raise DataError(
            f"{source} says that voxels lie in one place along an axis, or nowhere; mend its affine"
        )
    cosines = np.abs(affine[:3, :3] / spacing)  # rows: directions, columns: axes of the array
    axes = [-1, -1, -1]
    for _ in range(3):
        direction, axis = np.unravel_index(cosines.argmax(), cosines.shape)
        axes[direction] = int(axis)
        cosines[direction], cosines[:, axis] = -1, -1
    flipped = tuple(bool(affine[direction, axis] < 0) for direction, axis in enumerate(axes))
    return Orientation(tuple(axes), flipped, tuple(float(spacing[axis]) for axis in axes))  # type: ignore[arg-type]


def on_one_grid(one: Float64[np.ndarray, "4 4"], other: Float64[np.ndarray, "4 4"]) -> bool:
    """Whether two affines put voxels at the same places, within a thousandth of a voxel a voxel."""
    size = np.sqrt((one[:3, :3] ** 2).sum(0)).min()
    return bool(np.abs(one - other).max() <= SAME * size)
