"""Label volumes: written as NIfTI on the grid of the volume that they were made of."""

import gzip
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

from atrous.data.volume_names import is_volume
from atrous.data.volumes import Volume, broken, import_nibabel, read_head
from atrous.errors import ConfigError, DataError, ShapeError
from atrous.files import write_atomically

_COMMENT = 6  # NIfTI's code of an extension that is text
_FAST = 1  # gzip's level, as nibabel's


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
    image = volume.image
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
    except import_nibabel().spatialimages.HeaderDataError as error:
        raise DataError(f"the place of {volume.path} cannot be written ({error}); mend its affine") from error
    if note:
        data.header.extensions.append(import_nibabel().nifti1.Nifti1Extension("comment", note.encode()))
    write_atomically(
        path, lambda temporary: _write(temporary, data, packed=path.name.lower().endswith(".gz"))
    )


def stored_note(path: Path) -> str:
    """The note in the header of a volume that `write_label_volume` wrote; empty without one."""
    try:
        empty, head = read_head(path)
        header: Any = type(empty).from_fileobj(io.BytesIO(head))
    except broken():
        return ""
    comments = [part.get_content() for part in header.extensions if part.get_code() == _COMMENT]
    return comments[-1].rstrip(b"\0").decode(errors="replace") if comments else ""


def _write(path: Path, image: Any, *, packed: bool) -> None:
    if packed:
        with path.open("wb") as file, gzip.GzipFile("", "wb", _FAST, file, mtime=0) as stream:
            image.to_stream(stream)
    else:
        with path.open("wb") as file:
            image.to_stream(file)
