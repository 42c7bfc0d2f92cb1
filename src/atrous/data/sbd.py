"""SBD, Semantic Boundaries Dataset (Hariharan et al. 2011): VOC's classes on more of its images, as .mat."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from atrous.data.labels import IGNORE
from atrous.data.mat_file import read_struct_field
from atrous.errors import DataError

SBD_SOURCE = (
    "it joins VOC's train with SBD: get benchmark.tgz at http://home.bharathh.info/pubs/codes/SBD and unpack "
    "it into DATA, so that DATA/benchmark_RELEASE/dataset holds img, cls, train.txt and val.txt"
)
"""Where the data come from and how they lie, for messages."""

NUM_CLASSES = 21
_FOLDERS = ("benchmark_RELEASE", "SBD", "sbd")


@dataclass(frozen=True, slots=True)
class SbdMask:
    """Labels in a file of SBD's folder cls: the numbers of VOC's classes, 0 for background."""

    path: Path

    def read(self) -> UInt8[np.ndarray, "h w"]:
        """Labels 0 to 20, and 255 for ignored pixels.

        Raises:
            DataError: If the file is broken or holds something else.
        """
        try:
            labels = read_struct_field(self.path.read_bytes(), variable="GTcls", field="Segmentation")
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.path} cannot be read as labels of SBD ({error}); unpack SBD again"
            ) from error
        if labels.dtype.kind not in "iu" or labels.ndim != 2 or labels.size == 0:
            raise DataError(
                f"{self.path} holds {labels.dtype} of shape {labels.shape}, labels are whole numbers of "
                "shape (h, w); unpack SBD again"
            )
        wrong = labels[((labels < 0) | (labels >= NUM_CLASSES)) & (labels != IGNORE)]
        if wrong.size:
            raise DataError(
                f"{self.path} holds the label {wrong[0]}, but the classes are 0-{NUM_CLASSES - 1}; "
                "unpack SBD again"
            )
        return labels.astype(np.uint8)


def find_sbd(root: Path) -> Path | None:
    """Folder with SBD's img, cls and lists under DATA, as unpacked or in a folder called SBD."""
    places = [
        root / name / inner
        for name in _FOLDERS
        for inner in ("dataset", "", Path("benchmark_RELEASE", "dataset"))
    ]
    return next((place for place in places if (place / "cls").is_dir()), None)
