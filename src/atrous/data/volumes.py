"""NIfTI volumes: opened, refused with a reason, and read as gray slices."""

import errno
import gzip
import math
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

HEAD = 1 << 20
"""Bytes in which the header of a volume lies, and what was noted in it."""

_PACKED = 1032
"""Bytes that one byte of a gzip can stand for, by the form of its matches."""


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
            with np.errstate(over="ignore", invalid="ignore"):  # of intensities that fill or hardly leave 0
                share = np.clip((finite - self.black) / (self.white - self.black), 0, 1)
            share = np.nan_to_num(share, copy=False)
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
            unpacked = _unpacked(path, Path(folder))
            _refuse_claims(read_head(unpacked)[0], unpacked.stat().st_size)
            image: Any = nibabel.load(unpacked)
            array = image.dataobj.get_unscaled()
        except broken() as error:
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


def broken() -> tuple[type[Exception], ...]:
    """What nibabel makes of broken bytes."""
    nibabel = import_nibabel()
    own = (nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError)
    return (
        OSError,
        EOFError,
        ValueError,
        OverflowError,
        TypeError,
        LookupError,
        MemoryError,
        zlib.error,
        *own,
    )


def read_head(path: Path) -> tuple[Any, bytes]:
    """Nibabel's header of a volume, without its extensions, and the first bytes of the file, unpacked.

    Raises:
        OSError, ValueError, ...: One of `broken()`, if it has none.
    """
    nibabel = import_nibabel()
    with path.open("rb") if path.name.lower().endswith(".nii") else gzip.open(path) as file:
        head = file.read(HEAD)
    kinds = (nibabel.Nifti2Header, nibabel.Nifti1Header)
    kind = next((kind for kind in kinds if kind.may_contain_header(head)), None)
    if kind is None:
        raise ValueError("it has no header of NIfTI")
    return kind(head[: kind.template_dtype.itemsize], check=False), head


def _unpacked(path: Path, folder: Path) -> Path:
    """A file that can be read from anywhere: the given one, or a copy that is not packed.

    Only what the header speaks of is unpacked, and nothing if a gzip of this size cannot hold it.
    """
    if path.name.lower().endswith(".nii"):
        return path
    wanted = _refuse_claims(read_head(path)[0], _PACKED * path.stat().st_size)
    copy = folder / "volume.nii"
    with gzip.open(path) as packed, copy.open("wb") as file:
        while wanted > 0 and (part := packed.read(min(wanted, HEAD))):
            file.write(part)
            wanted -= len(part)
        while packed.read(HEAD):  # to the end, where the checksum is
            pass
    return copy


def _refuse_claims(header: Any, size: int) -> int:
    """Bytes that the header speaks of, if so many can be there."""
    wanted = header.get_data_offset() + math.prod(header.get_data_shape()) * header.get_data_dtype().itemsize
    if not 0 <= wanted <= size:
        raise ValueError(f"its header claims {wanted} bytes and at most {size} are there")
    return wanted


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

    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 is infinity: no intensity
        scaled = apply_read_scaling(np.asarray(stored), image.dataobj.slope, image.dataobj.inter)
        return np.asarray(scaled, np.float32)


def _broken(path: Path, error: Exception) -> AtrousError:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return OutputError(f"no room to unpack {path} in {tempfile.gettempdir()}; free some, or set TMPDIR")
    reason = " ".join(str(error).split())
    return DataError(
        f"{path} cannot be read as a NIfTI volume ({reason}): it is cut off or damaged; replace it"
    )
