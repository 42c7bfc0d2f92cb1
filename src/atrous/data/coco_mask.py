"""Labels drawn from the annotations of one COCO image: polygons, or runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from atrous.data.annotations import draw_polygon_, polygon_area, refuse_huge, to_points
from atrous.data.labels import IGNORE
from atrous.data.runs import decode_runs, unpack_runs
from atrous.errors import DataError

MALFORMED = (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError)
"""What reading JSON of another form than expected raises."""


@dataclass(frozen=True, slots=True)
class CocoRegion:
    """One annotation: the label of an object and its outline as the file gives it, polygons or runs."""

    annotation_id: int
    label: int
    segmentation: Any
    is_crowd: bool


@dataclass(frozen=True, slots=True)
class CocoMask:
    """Labels drawn from COCO annotations: crowds (as ignored) lowest, then objects, the smaller the higher.

    Attributes:
        path: The JSON file.
        size: Height and width of the image, in pixels.
        regions: The annotations of the image.
        uncovered: Label of pixels that no annotation covers.
    """

    path: Path
    size: tuple[int, int]
    regions: tuple[CocoRegion, ...]
    uncovered: int

    def read(self) -> UInt8[np.ndarray, "h w"]:
        """Labels 0 to k-1, and 255 for ignored pixels.

        Raises:
            DataError: If a segmentation is neither polygons nor runs, or its runs do not fit the image.
        """
        outlined = []
        for region in self.regions:
            try:
                outlined.append((region, _outline(region.segmentation)))
            except MALFORMED as error:
                raise self._broken(region, "a segmentation that is neither polygons nor runs") from error
        outlined.sort(
            key=lambda pair: (not pair[0].is_crowd, -pair[1].area)
        )  # equal areas keep the file's order
        refuse_huge(self.size, source=str(self.path))
        labels = np.full(self.size, self.uncovered, dtype=np.uint8)
        for region, outline in outlined:
            label = IGNORE if region.is_crowd else region.label
            for polygon in outline.polygons:
                draw_polygon_(labels, polygon, label=label)
            if outline.runs:
                if sum(outline.runs) != labels.size:
                    raise self._broken(
                        region, f"runs of {sum(outline.runs)} pixels where its image has {labels.size}"
                    )
                labels[decode_runs(outline.runs, size=self.size)] = label
        return labels

    def _broken(self, region: CocoRegion, what: str) -> DataError:
        return DataError(f"{self.path}: annotation {region.annotation_id} has {what}; correct or remove it")


@dataclass(frozen=True, slots=True)
class _Outline:
    polygons: tuple[np.ndarray, ...]
    runs: tuple[int, ...]
    area: float


def _outline(segmentation: Any) -> _Outline:
    """Polygons or runs of a segmentation, checked for form."""
    if isinstance(segmentation, list):
        polygons = tuple(to_points(numbers) for numbers in segmentation)
        return _Outline(polygons, (), sum(map(polygon_area, polygons)))
    counts = segmentation["counts"]
    runs = unpack_runs(counts) if isinstance(counts, str) else tuple(int(count) for count in counts)
    if min(runs) < 0:
        raise ValueError("a run is negative")
    return _Outline((), runs, float(sum(runs[1::2])))
