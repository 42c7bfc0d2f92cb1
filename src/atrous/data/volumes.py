"""NIfTI volumes: opened, refused with a reason, and read as gray slices."""

import errno
import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from atrous.data.percentiles import percentiles
from atrous.data.volume_names import is_volume
from atrous.errors import AtrousError, ConfigError, DataError, OutputError, ShapeError

DARKEST, BRIGHTEST = 0.5, 99.5
"""Percentiles of a volume that become black and white."""

BROKEN = (OSError, EOFError, ValueError, zlib.error)


@dataclass(frozen=True, slots=True)
class Volume:
    """An open volume; made by `open_volume`.

    Attributes:
        path: The file.
        axis: Of the array (0, 1 or 2), along which the slices are counted.
        black: Intensity that becomes gray level 0; the 0.5 percentile of the volume.
        white: Intensity that becomes gray level 255; the 99.5 percentile of the volume.
        image: nibabel's, with the header.
        stored: The array in the file, mapped into memory, before the file's own scaling.
    """

    path: Path
    axis: int
    black: float
    white: float
    image: Any
    stored: np.ndarray

    @property
    def affine(self) -> Float64[np.ndarray, "4 4"]:
        """From voxels of the array to millimeters."""
        return self.image.affine

    def values(self) -> Float32[np.ndarray, "i j k"]:
        """All intensities, in the order of the array."""
        return intensities_of(self.image, self.stored)

    @property
    def num_slices(self) -> int:
        """Slices along the axis."""
        return self.image.shape[self.axis]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a slice, in voxels: the other two axes of the array, in its order."""
        height, width = (size for axis, size in enumerate(self.image.shape[:3]) if axis != self.axis)
        return height, width

    def read(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """One slice as an image, 0-255, three equal channels; voxels that are not finite are black.

        Raises:
            ShapeError: If there is no such slice.
        """
        if not 0 <= index < self.num_slices:
            raise ShapeError(f"{self.path} has no slice {index}; ask for one of 0-{self.num_slices - 1}")
        values = intensities_of(self.image, np.moveaxis(self.stored, self.axis, 0)[index])
        gray = np.zeros(values.shape, np.uint8)
        if self.white > self.black:
            finite = np.nan_to_num(values, nan=self.black, posinf=self.black, neginf=self.black)
            share = np.clip((finite - self.black) / (self.white - self.black), 0, 1)
            gray = np.rint(255 * share).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2)


@contextmanager
def open_volume(path: Path, *, axis: int = 2) -> Iterator[Volume]:
    """A NIfTI volume to read slice by slice; closed at the end of the `with`.

    Intensities have no fixed range, so the volume's 0.5 percentile becomes black and its 99.5 percentile
    white, each an intensity that occurs (the lower neighbor). They are counted slice by slice, in two passes.
    The file is mapped into memory; a `.nii.gz` is unpacked into a temporary one first.

    Args:
        path: A `.nii` or `.nii.gz` with three axes; further ones of length 1 do not count.
        axis: Of the array, 0-2, along which the slices are counted.

    Raises:
        ConfigError: If nibabel is not installed, or there is no such axis.
        DataError: If the file is missing, broken, or no volume of numbers with three axes.
        OutputError: If there is no room to unpack it.
    """
    if axis not in {0, 1, 2}:
        raise ConfigError(f"axis {axis} asked for; a volume has the axes 0, 1 and 2")
    with stored_volume(path) as (image, stored):
        slices = [
            lambda index=index: intensities_of(image, stored[..., index]) for index in range(image.shape[2])
        ]
        black, white = percentiles(slices, (DARKEST, BRIGHTEST))
        yield Volume(path, axis, black, white, image, stored)


@contextmanager
def stored_volume(path: Path) -> Iterator[tuple[Any, np.ndarray]]:
    """Nibabel's image of a file, and its array of three axes as stored; closed at the end of the `with`.

    Raises:
        ConfigError: If nibabel is not installed.
        DataError: If the file is missing, broken, or no volume of numbers with three axes.
        OutputError: If there is no room to unpack it.
    """
    nibabel = import_nibabel()
    if not path.is_file():
        raise DataError(f"{path} does not exist or is no file; check the name")
    if not is_volume(path.name):
        raise DataError(f"{path} is no NIfTI volume; convert it to .nii or .nii.gz")
    with tempfile.TemporaryDirectory(prefix="atrous.", ignore_cleanup_errors=True) as folder:
        try:
            image: Any = nibabel.load(_unpacked(path, Path(folder)))
            array = image.dataobj.get_unscaled()
        except (*BROKEN, nibabel.filebasedimages.ImageFileError) as error:
            raise _broken(path, error) from error
        _refuse_other_arrays(image, path)
        yield image, array.reshape(image.shape[:3], order="F")


def import_nibabel() -> Any:
    """The package that reads and writes NIfTI.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        import nibabel
    except ImportError as error:
        raise ConfigError('volumes are read and written by nibabel; pip install "atrous[medical]"') from error
    return nibabel


def _unpacked(path: Path, folder: Path) -> Path:
    """A file that can be read from anywhere: the given one, or a copy that is not packed."""
    if path.name.lower().endswith(".nii"):
        return path
    copy = folder / "volume.nii"
    with gzip.open(path) as packed, copy.open("wb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)
    return copy


def _refuse_other_arrays(image: Any, path: Path) -> None:
    if not np.isfinite(image.affine).all():
        raise DataError(f"{path} says that its voxels lie at NaN or infinity; mend its affine")
    if len(image.shape) < 3:
        raise DataError(
            f"{path} has the axes {image.shape}, and a volume has three; save a slice as an image, or as a "
            "volume with an axis of length 1"
        )
    if any(size != 1 for size in image.shape[3:]):
        raise DataError(
            f"{path} has the axes {image.shape}, and a volume has three; save one volume of it, as by "
            "nibabel.save(image.slicer[..., 0], FILE)"
        )
    if 0 in image.shape:
        raise DataError(f"{path} has the axes {image.shape}, so it is empty; replace the file")
    if image.get_data_dtype().kind not in "iuf":
        raise DataError(
            f"{path} stores {image.get_data_dtype()}, and a volume has one number a voxel; save it as floats"
        )


def intensities_of(image: Any, stored: np.ndarray) -> Float32[np.ndarray, "..."]:
    """What stored numbers mean, by the file's own scaling."""
    from nibabel.volumeutils import apply_read_scaling

    scaled = apply_read_scaling(np.asarray(stored), image.dataobj.slope, image.dataobj.inter)
    with np.errstate(over="ignore"):  # beyond float32 is infinity, which counts as no intensity
        return np.asarray(scaled, np.float32)


def _broken(path: Path, error: Exception) -> AtrousError:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return OutputError(f"no room to unpack {path} in {tempfile.gettempdir()}; free some, or set TMPDIR")
    reason = " ".join(str(error).split())
    return DataError(
        f"{path} cannot be read as a NIfTI volume ({reason}): it is cut off or damaged; replace it"
    )
