"""NIfTI volumes: read as gray slices, and label volumes written on the same grid."""

import errno
import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Integer, UInt8

from atrous.data.volume_names import is_volume
from atrous.errors import AtrousError, ConfigError, DataError, OutputError, ShapeError
from atrous.files import write_atomically
from atrous.inference.percentiles import percentiles

DARKEST, BRIGHTEST = 0.5, 99.5
"""Percentiles of a volume that become black and white."""

_COMMENT = 6  # NIfTI's code of an extension that is text
_FAST = 1  # gzip's level, as nibabel's
_BROKEN = (OSError, EOFError, ValueError, zlib.error)


@dataclass(frozen=True, slots=True)
class Volume:
    """An open volume; made by `open_volume`.

    Attributes:
        path: The file.
        axis: Of the array (0, 1 or 2), along which the slices are counted.
        black: Intensity that becomes gray level 0; the 0.5 percentile of the volume.
        white: Intensity that becomes gray level 255; the 99.5 percentile of the volume.
    """

    path: Path
    axis: int
    black: float
    white: float
    _image: Any
    _stored: Any  # the array in the file, mapped into memory, before the file's own scaling

    @property
    def num_slices(self) -> int:
        """Slices along the axis."""
        return self._image.shape[self.axis]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a slice, in voxels: the other two axes of the array, in its order."""
        height, width = (size for axis, size in enumerate(self._image.shape[:3]) if axis != self.axis)
        return height, width

    def read(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """One slice as an image, 0-255, three equal channels; voxels that are not finite are black.

        Raises:
            ShapeError: If there is no such slice.
        """
        if not 0 <= index < self.num_slices:
            raise ShapeError(f"{self.path} has no slice {index}; ask for one of 0-{self.num_slices - 1}")
        values = _intensities(self._image, np.moveaxis(self._stored, self.axis, 0)[index])
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
    nibabel = _import_nibabel()
    if axis not in {0, 1, 2}:
        raise ConfigError(f"axis {axis} asked for; a volume has the axes 0, 1 and 2")
    if not path.is_file():
        raise DataError(f"{path} does not exist or is no file; check the name")
    if not is_volume(path.name):
        raise DataError(f"{path} is no NIfTI volume; convert it to .nii or .nii.gz")
    with tempfile.TemporaryDirectory(prefix="atrous.", ignore_cleanup_errors=True) as folder:
        try:
            image: Any = nibabel.load(_unpacked(path, Path(folder)))
            array = image.dataobj.get_unscaled()
        except (*_BROKEN, nibabel.filebasedimages.ImageFileError) as error:
            raise _broken(path, error) from error
        _refuse_other_arrays(image, path)
        stored = array.reshape(image.shape[:3], order="F")
        slices = [
            lambda index=index: _intensities(image, stored[..., index]) for index in range(image.shape[2])
        ]
        black, white = percentiles(slices, (DARKEST, BRIGHTEST))
        yield Volume(path, axis, black, white, image, stored)


def write_label_volume(
    path: Path, volume: Volume, label_maps: Iterable[Integer[np.ndarray, "_ _"]], *, note: str = ""
) -> None:
    """Write the label maps of all slices as a volume, uint8, on the grid of the one they were made of.

    Affine, qform, sform, their codes, and units are those of `volume`. The file appears whole or not at all.

    Args:
        path: A `.nii` or `.nii.gz`.
        volume: What the labels belong to.
        label_maps: Labels (h, w), 0-255, of the slices from the first to the last.
        note: How they were made; kept as a comment in the header.

    Raises:
        ConfigError: If the path ends otherwise.
        DataError: If the volume's affine is none that a header holds.
        OutputError: If the file cannot be written.
        ShapeError: If the label maps are more, fewer or of another size than the slices.
    """
    if not is_volume(path.name):
        raise ConfigError(f"{path} does not end in .nii or .nii.gz, as label volumes do; rename it")
    image = volume._image
    labels = np.zeros(image.shape[:3], np.uint8, order="F")  # as NIfTI stores it
    slices = np.moveaxis(labels, volume.axis, 0)
    count = 0
    for label_map in label_maps:
        if count == volume.num_slices or label_map.shape != volume.size:
            raise ShapeError(
                f"label map {count} of {label_map.shape} does not fit {volume.path}; give "
                f"{volume.num_slices} of {volume.size}"
            )
        slices[count] = label_map
        count += 1
    if count != volume.num_slices:
        raise ShapeError(f"{count} label maps given for the {volume.num_slices} slices of {volume.path}")
    header = image.header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header.set_intent("label")
    header["cal_min"] = header["cal_max"] = 0  # the range shown; that of intensities says nothing of labels
    try:
        data = type(image)(labels, image.affine, header)
    except _import_nibabel().spatialimages.HeaderDataError as error:
        raise DataError(f"the place of {volume.path} cannot be written ({error}); mend its affine") from error
    if note:
        data.header.extensions.append(_import_nibabel().nifti1.Nifti1Extension("comment", note.encode()))
    write_atomically(
        path, lambda temporary: _write(temporary, data, packed=path.name.lower().endswith(".gz"))
    )


def stored_note(path: Path) -> str:
    """The note in the header of a volume that `write_label_volume` wrote; empty without one."""
    nibabel = _import_nibabel()
    try:
        header: Any = nibabel.load(path).header
    except (*_BROKEN, nibabel.filebasedimages.ImageFileError):
        return ""
    comments = [part.get_content() for part in header.extensions if part.get_code() == _COMMENT]
    return comments[-1].rstrip(b"\0").decode(errors="replace") if comments else ""


def _import_nibabel() -> Any:
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


def _intensities(image: Any, stored: np.ndarray) -> Float32[np.ndarray, "h w"]:
    """What the numbers of a slice mean, by the file's own scaling."""
    from nibabel.volumeutils import apply_read_scaling

    scaled = apply_read_scaling(np.asarray(stored), image.dataobj.slope, image.dataobj.inter)
    with np.errstate(over="ignore"):  # beyond float32 is infinity, which counts as no intensity
        return np.asarray(scaled, np.float32)


def _write(path: Path, image: Any, *, packed: bool) -> None:
    if packed:
        with path.open("wb") as file, gzip.GzipFile("", "wb", _FAST, file, mtime=0) as stream:
            image.to_stream(stream)
    else:
        with path.open("wb") as file:
            image.to_stream(file)


def _broken(path: Path, error: Exception) -> AtrousError:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return OutputError(f"no room to unpack {path} in {tempfile.gettempdir()}; free some, or set TMPDIR")
    reason = " ".join(str(error).split())
    return DataError(
        f"{path} cannot be read as a NIfTI volume ({reason}): it is cut off or damaged; replace it"
    )
