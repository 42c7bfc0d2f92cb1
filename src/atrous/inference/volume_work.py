"""A volume to predict, slice by slice."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from atrous.data.images import write_image
from atrous.data.places import Place, write_at
from atrous.errors import DataError
from atrous.inference.image_work import ImageWork
from atrous.inference.volumes import open_volume, write_label_volume
from atrous.inference.work import Part

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

SHOWN = 16  # slices in the overlay, four in a row


@dataclass(frozen=True, slots=True)
class VolumeWork:
    """A NIfTI volume to predict; see `Work`. It is written where it is predicted, since it stays open.

    Attributes:
        image: The file, on this machine, and what becomes of it.
        axis: Of the array, 0-2, along which the slices are counted.
    """

    image: ImageWork
    axis: int = 2

    @property
    def source(self) -> Place:
        """The file."""
        return self.image.source

    @property
    def outputs(self) -> tuple[Place, ...]:
        """What is written."""
        return self.image.outputs

    def read(self) -> None:
        """Nothing is read ahead."""

    def predict(self, predictor: "Predictor", content: None) -> Generator[Part, None, None]:
        """Label all slices and write their volume, and before it the overlay of some of them.

        Raises:
            DataError: If the volume cannot be read, or probabilities are wanted.
            OutputError: If a file cannot be written.
        """
        assert content is None
        if isinstance(self.source, str):
            raise DataError(f"{self.source} is a volume, which is read from this machine only; copy it here")
        if self.image.probabilities is not None:
            raise DataError(f"{self.source} is a volume, of which no probabilities are saved; leave them out")
        with open_volume(Path(self.source), axis=self.axis) as volume:
            shown = {round(index) for index in np.linspace(0, volume.num_slices - 1, SHOWN)}
            label_maps, overlays = [], []
            for index in range(volume.num_slices):
                prediction = predictor(volume.read(index))
                label_maps.append(prediction.label_map.astype(np.uint8))
                if self.image.overlay is not None and index in shown:
                    overlays.append(prediction.overlay(opacity=self.image.opacity))
                yield Part(self.source, index + 1, volume.num_slices)
            if self.image.overlay is not None:
                write_at(self.image.overlay, lambda path: write_image(path, _sheet(overlays)))
            note = self.image.note
            write_at(
                self.image.label_map, lambda path: write_label_volume(path, volume, label_maps, note=note)
            )

    def write(self, result: None) -> None:
        """Nothing is left to write."""


def _sheet(pictures: Sequence[UInt8[np.ndarray, "h w 3"]]) -> UInt8[np.ndarray, "H W 3"]:
    """Pictures of one size, four in a row, from left to right and top to bottom."""
    height, width = pictures[0].shape[:2]
    columns = min(4, len(pictures))
    sheet = np.zeros((-(-len(pictures) // columns) * height, columns * width, 3), np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + height, left : left + width] = picture
    return sheet
