"""A volume to predict: slice by slice by a network of images, at once by one of volumes."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from atrous.data.images import write_image
from atrous.data.label_volume import write_label_volume
from atrous.data.labels import BACKGROUND, IGNORE, LabelSet
from atrous.data.orientation3d import orientation_of
from atrous.data.places import Place, write_at
from atrous.data.volumes import Volume, open_volume
from atrous.errors import DataError
from atrous.inference.image_work import ImageWork
from atrous.inference.work import Part

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

SHOWN = 16  # slices in the overlay, four in a row
SHOWN_SIDE = 200  # px; smaller slices are enlarged by a whole factor up to it


@dataclass(frozen=True, slots=True)
class VolumeWork:
    """A NIfTI volume to predict; see `Work`. It is written where it is predicted, since it stays open.

    Attributes:
        image: The file, on this machine, and what becomes of it.
        axis: Of the array, 0-2, along which the slices are counted that a network of images labels, and that
            the overlay shows.
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
            for index, label_map in enumerate(_label_maps(volume, predictor)):
                label_maps.append(label_map)
                if self.image.overlay is not None and index in shown:
                    picture = volume.read(index)
                    overlays.append(
                        _tinted(picture, label_map, predictor.label_set, opacity=self.image.opacity)
                    )
                yield Part(self.source, index + 1, volume.num_slices)
            if self.image.overlay is not None:
                write_at(self.image.overlay, lambda path: write_image(path, _sheet(overlays)))
            note = self.image.note
            write_at(
                self.image.label_map, lambda path: write_label_volume(path, volume, label_maps, note=note)
            )

    def write(self, result: None) -> None:
        """Nothing is left to write."""


def _label_maps(volume: Volume, predictor: "Predictor") -> Iterator[UInt8[np.ndarray, "h w"]]:
    """Labels of the slices along the volume's axis, by the network's way."""
    if predictor.network.num_axes == 2:
        for index in range(volume.num_slices):
            yield predictor(volume.read(index)).label_map.astype(np.uint8)
        return
    from atrous.inference.volume_prediction import labels_of, volume_scores  # heavy, and for volumes alone

    orientation = orientation_of(volume.affine, source=str(volume.path))
    upright = np.ascontiguousarray(orientation.upright(volume.values()))
    scores = volume_scores(predictor.network, predictor.engine, upright, device=predictor.device)
    labels = orientation.as_stored(labels_of(scores))
    yield from np.moveaxis(labels, volume.axis, 0)


def _tinted(
    picture: UInt8[np.ndarray, "h w 3"],
    label_map: UInt8[np.ndarray, "h w"],
    label_set: LabelSet,
    *,
    opacity: float,
) -> UInt8[np.ndarray, "H W 3"]:
    """A slice under the colors of its labels, but for the background, enlarged if it is small."""
    from atrous.figures.overlay import overlay

    has_background = label_set.names[0].casefold() == BACKGROUND
    shown = np.where(has_background & (label_map == 0), np.uint8(IGNORE), label_map)
    drawn = overlay(picture, shown, label_set.palette, opacity=opacity)
    factor = max(1, SHOWN_SIDE // max(label_map.shape))
    return drawn.repeat(factor, 0).repeat(factor, 1)


def _sheet(pictures: Sequence[UInt8[np.ndarray, "h w 3"]]) -> UInt8[np.ndarray, "H W 3"]:
    """Pictures of one size, four in a row, from left to right and top to bottom."""
    height, width = pictures[0].shape[:2]
    columns = min(4, len(pictures))
    sheet = np.zeros((-(-len(pictures) // columns) * height, columns * width, 3), np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + height, left : left + width] = picture
    return sheet
