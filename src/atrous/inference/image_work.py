"""An image and the files that its prediction becomes."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, UInt8

from atrous.data.images import write_image, write_label_map
from atrous.data.labels import LabelSet
from atrous.data.places import Place, read_image_at, write_at
from atrous.data.score_file import write_probabilities
from atrous.inference.work import Part

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Labeled:
    """A prediction taken off the network's device: image and label map (h, w), probabilities where wanted."""

    image: UInt8[np.ndarray, "h w 3"]
    label_map: UInt8[np.ndarray, "h w"]
    probabilities: Float32[np.ndarray, "k h w"] | None
    label_set: LabelSet


@dataclass(frozen=True, slots=True)
class ImageWork:
    """An image to predict; see `Work`.

    Attributes:
        source: The image.
        label_map: PNG; written last, so where it is, the others are.
        overlay: JPEG, or None for none.
        probabilities: Npz, or None for none.
        opacity: Of the colors in the overlay, 0-1.
        note: How the prediction is made; kept in the label map.
    """

    source: Place
    label_map: Place
    overlay: Place | None = None
    probabilities: Place | None = None
    opacity: float = 0.5
    note: str = ""

    @property
    def outputs(self) -> tuple[Place, ...]:
        """What is written."""
        return tuple(
            place for place in (self.label_map, self.overlay, self.probabilities) if place is not None
        )

    def read(self) -> UInt8[np.ndarray, "h w 3"]:
        """RGB image, 0-255.

        Raises:
            DataError: If it cannot be read.
        """
        return read_image_at(self.source)

    def predict(
        self, predictor: "Predictor", content: UInt8[np.ndarray, "h w 3"]
    ) -> Generator[Part, None, Labeled]:
        """Labels, and probabilities where they are wanted; at once."""
        yield from ()
        prediction = predictor(content)
        scores = None if self.probabilities is None else prediction.probabilities()
        return Labeled(content, prediction.label_map.astype(np.uint8), scores, predictor.label_set)

    def write(self, result: Labeled) -> None:
        """Write the files, the label map last.

        Raises:
            OutputError: If one cannot be written.
        """
        from atrous.figures.overlay import overlay

        if self.overlay is not None:
            palette = result.label_set.palette
            drawn = overlay(result.image, result.label_map, palette, opacity=self.opacity)
            write_at(self.overlay, lambda path: write_image(path, drawn))
        scores = result.probabilities
        if self.probabilities is not None and scores is not None:
            write_at(self.probabilities, lambda path: write_probabilities(path, scores))
        write_at(
            self.label_map,
            lambda path: write_label_map(path, result.label_map, result.label_set, note=self.note),
        )
