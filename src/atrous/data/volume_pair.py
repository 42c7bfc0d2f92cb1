"""A labelled volume: intensities and labels of two NIfTI files, upright, on one grid."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8

from atrous.data.encoding import IndexEncoding
from atrous.data.orientation3d import on_one_grid, orientation_of
from atrous.data.volumes import intensities_of, stored_volume
from atrous.errors import DataError


class MissingIntensityError(DataError):
    """A voxel is NaN or infinite."""


class OtherPlaceError(DataError):
    """A mask lies elsewhere than its volume."""


@dataclass(frozen=True, slots=True)
class VolumeMask:
    """Labels stored as a volume of their own."""

    path: Path
    encoding: IndexEncoding

    def read(self) -> UInt8[np.ndarray, "x y z"]:
        """Labels 0 to k-1, and 255 for ignored voxels, upright.

        Raises:
            DataError: If the file is missing or broken, or holds what stands for no class.
        """
        with stored_volume(self.path) as (image, stored):
            numbers = intensities_of(image, stored)
            affine = image.affine
        raw = whole_numbers(numbers, source=str(self.path))
        labels = self.encoding.decode(raw, source=self.path)
        return orientation_of(affine, source=str(self.path)).upright(labels)


def read_intensities(path: Path) -> tuple[Float32[np.ndarray, "x y z"], tuple[float, ...]]:
    """Intensities of a volume to learn from, upright, and millimeters from voxel to voxel along each axis.

    Raises:
        DataError: If the file is missing or broken, or a voxel has no intensity.
    """
    with stored_volume(path) as (image, stored):
        values = intensities_of(image, stored)
        orientation = orientation_of(image.affine, source=str(path))
    if missing := values.size - int(np.isfinite(values).sum()):
        raise MissingIntensityError(
            f"{path} holds {missing} voxels that are NaN or infinite, which teach nonsense; replace them by "
            "an intensity, or the file"
        )
    return np.ascontiguousarray(orientation.upright(values)), orientation.spacing


def refuse_other_grid(image_path: Path, mask_path: Path) -> None:
    """Nothing, if a volume and its mask have the same shape and place.

    Raises:
        DataError: If they differ.
    """
    with stored_volume(image_path) as (image, values), stored_volume(mask_path) as (mask, numbers):
        shapes = values.shape, numbers.shape
        same_place = on_one_grid(image.affine, mask.affine)
    if shapes[0] != shapes[1]:
        raise DataError(
            f"{image_path} has {_sides(shapes[0])} voxels and its mask {mask_path} {_sides(shapes[1])}; they "
            "must agree: make the mask again on the grid of the volume"
        )
    if not same_place:
        raise OtherPlaceError(
            f"{image_path} and its mask {mask_path} say that their voxels lie at different places; they must "
            "agree: resample the mask to the grid of the volume, or copy its affine if only that is wrong"
        )


VolumeFaultKind = Literal[
    "unreadable image", "unreadable mask", "voxels without intensity", "sizes differ", "places differ"
]


def volume_faults(image_path: Path, mask: VolumeMask) -> tuple[tuple[VolumeFaultKind, Path, str], ...]:
    """Kind, file at fault and sentence of all that keeps a volume from being read; both files are there."""
    found: list[tuple[VolumeFaultKind, Path, str]] = []
    try:
        read_intensities(image_path)
    except MissingIntensityError as error:
        found.append(("voxels without intensity", image_path, str(error)))
    except DataError as error:
        found.append(("unreadable image", image_path, str(error)))
    try:
        mask.read()
    except DataError as error:
        found.append(("unreadable mask", mask.path, str(error)))
    if not found:
        try:
            refuse_other_grid(image_path, mask.path)
        except OtherPlaceError as error:
            found.append(("places differ", image_path, str(error)))
        except DataError as error:
            found.append(("sizes differ", image_path, str(error)))
    return tuple(found)


def whole_numbers(values: Float32[np.ndarray, "i j k"], *, source: str) -> UInt8[np.ndarray, "i j k"]:
    """Label numbers, which some programs store as floats.

    Raises:
        DataError: If one is no whole number of 0-255.
    """
    with np.errstate(invalid="ignore"):  # NaN is none
        whole = (values >= 0) & (values <= 255) & (values == np.rint(values))
    if not whole.all():
        raise DataError(
            f"{source} holds {values[~whole].flat[0]:g}, and a mask has one whole number of 0-255 a voxel; "
            "resample masks by nearest neighbor, and number classes within"
        )
    return values.astype(np.uint8)


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
