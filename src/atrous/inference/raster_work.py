"""A raster to predict: a GeoTIFF, or an image too large for memory; strip by strip, and none is lost."""

import json
import threading
from collections.abc import Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, UInt8

from atrous.data.images import write_image
from atrous.data.labels import IGNORE, LabelSet
from atrous.data.places import Place, write_at
from atrous.data.score_file import write_probabilities
from atrous.errors import DataError, OutputError
from atrous.inference.image_work import ImageWork
from atrous.inference.label_files import finish_label_map
from atrous.inference.label_strips import LabelStrips, open_label_strips
from atrous.inference.preview import preview
from atrous.inference.rasters import Raster, open_raster
from atrous.inference.work import Part

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

MOST_WHOLE_PIXELS = 1 << 26
"""Above this no image is held whole for what needs it whole: a CRF, several views, probabilities."""

DARK = 1 << 14
"""Where no 16-bit value is as large as this, white is not meant to be 65535."""


@dataclass(frozen=True, slots=True)
class LabeledStrips:
    """A raster's finished labels, not yet joined to a file."""

    strips: LabelStrips
    label_set: LabelSet
    probabilities: Float32[np.ndarray, "k h w"] | None = None


@dataclass(frozen=True, slots=True)
class RasterWork:
    """A raster to predict; see `Work`.

    Labels are stored strip by strip beside the label map as they come: a run that ends early, for whatever
    reason, goes on behind the last one when the same is asked again. Pixels without data get label 255.

    Attributes:
        image: The file, on this machine, and what becomes of it.
        bands: Three bands (red, green, blue) or one (gray) to see, counted from 1; None for all.
        span: Values that become black and white; None for those of the type.
        overwrite: Whether strips may be deleted that another job left.
    """

    image: ImageWork
    bands: tuple[int, ...] | None = None
    span: tuple[float, float] | None = None
    overwrite: bool = False

    @property
    def source(self) -> Place:
        """The file."""
        return self.image.source

    @property
    def outputs(self) -> tuple[Place, ...]:
        """What is written."""
        return self.image.outputs

    def read(self) -> None:
        """Nothing is read ahead: the pixels may be too many."""

    def predict(self, predictor: "Predictor", content: None) -> Generator[Part, None, LabeledStrips]:
        """Label the rows that have no labels yet.

        Raises:
            DataError: If rows cannot be read, or are too many for what is asked.
            OutputError: If the strips cannot be stored.
        """
        from atrous.inference.bands import WHOLE_PIXELS  # heavy, and works are made before it is needed

        assert content is None
        with self._open() as raster:
            _refuse_dark(raster)
            height, width = raster.size
            needs_whole = predictor.needs_whole or self.image.probabilities is not None
            is_small = height * width <= WHOLE_PIXELS
            at_once = needs_whole or is_small or not predictor.sees_in_parts(raster.size)
            if at_once and height * width > MOST_WHOLE_PIXELS:
                raise DataError(
                    f"{self.source} has {height} x {width} pixels, too many to hold whole, as a CRF, scales, "
                    "flips, a longest side, the released protocol, --save-probabilities and networks that "
                    "see everything need it; shrink the image, or leave them out (--no-crf, --longest-side 0 "
                    "for what the checkpoint says)"
                )
            strips = self._strips(raster)
            try:
                if at_once:
                    return self._at_once(raster, predictor, strips)
                yield from self._by_bands(raster, predictor, strips)
            finally:
                if strips.next_row == 0:
                    strips.remove()  # nothing is done that another run could go on from
            return LabeledStrips(strips, predictor.label_set)

    def _open(self) -> AbstractContextManager[Raster]:
        return open_raster(Path(self.source), bands=self.bands, span=self.span)

    def _at_once(self, raster: Raster, predictor: "Predictor", strips: LabelStrips) -> LabeledStrips:
        """All rows as one strip."""
        height = raster.size[0]
        prediction = predictor(raster.read(0, height))
        scores = None if self.image.probabilities is None else prediction.probabilities()
        if strips.next_row < height:
            labels = prediction.label_map.astype(np.uint8)[strips.next_row :]
            strips.append(_without_gaps(labels, raster, strips.next_row))
        return LabeledStrips(strips, predictor.label_set, scores)

    def _by_bands(
        self, raster: Raster, predictor: "Predictor", strips: LabelStrips
    ) -> Generator[Part, None, None]:
        """Strip after strip; another thread reads ahead."""
        height, reading = raster.size[0], threading.Lock()

        def read(start: int, stop: int) -> UInt8[np.ndarray, "rows w 3"]:
            with reading:
                return raster.read(start, stop)

        if strips.next_row == height:
            return
        for labels in predictor.label_rows(raster.size, read, start=strips.next_row):
            with reading:
                found = _without_gaps(labels, raster, strips.next_row)
            strips.append(found)
            yield Part(self.source, strips.next_row, height, is_kept=True)

    def _strips(self, raster: Raster) -> LabelStrips:
        """Those of this job that are there already."""
        if isinstance(self.image.label_map, str):
            raise DataError(
                f"the labels of {self.source} come by and by, and {self.image.label_map} can only be written "
                "at once; give --output a folder on this machine"
            )
        made = json.loads(self.image.note or "{}")
        made.pop("opacity", None)  # of the overlay, which is drawn at the end
        job = {**raster.identity(), **made}
        try:
            return open_label_strips(self.image.label_map, raster.size, job, overwrite=self.overwrite)
        except OutputError as error:  # another job's strips are no reason to end the run
            raise DataError(str(error)) from error

    def write(self, result: LabeledStrips) -> None:
        """Write the overlay, of at most 4096 pixels a side, and then the label map.

        Raises:
            DataError: If the raster cannot be read again.
            OutputError: If one cannot be written.
        """
        strips, label_set, scores = result.strips, result.label_set, result.probabilities
        with self._open() as raster:
            if self.image.overlay is not None:
                drawn = preview(raster, strips, label_set, opacity=self.image.opacity)
                write_at(self.image.overlay, lambda path: write_image(path, drawn))
            if self.image.probabilities is not None and scores is not None:
                write_at(self.image.probabilities, lambda path: write_probabilities(path, scores))
            finish_label_map(strips, raster.grid, label_set, note=self.image.note)


def _refuse_dark(raster: Raster) -> None:
    """Sensors of 10 to 14 bits and reflectances fill a small part of 16 bits; networks see black there."""
    brightest = raster.brightest()
    if brightest is not None and brightest < DARK:
        raise DataError(
            f"{raster.path} has values up to {brightest} where it was looked at, so it would be seen nearly "
            f"black, with 65535 for white; say what is black and what white, as in --span 0 {brightest}"
        )


def _without_gaps(
    labels: UInt8[np.ndarray, "rows w"], raster: Raster, start: int
) -> UInt8[np.ndarray, "rows w"]:
    """Labels of the rows from `start` on, 255 where a raster that lies somewhere has no data."""
    if not raster.grid.is_georeferenced:
        return labels  # a picture's alpha says what is shown, not what is there
    valid = raster.valid(start, start + len(labels))
    return labels if valid is None else np.where(valid, labels, np.uint8(IGNORE))
