"""What the pairs of one split add up to, and the figures that a report shows of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from atrous.data.check_pair import Measures, Mistake
from atrous.data.check_report import ClassReport, SplitReport
from atrous.data.encoding import IndexEncoding
from atrous.data.folder import Dataset, FileMask, Pair
from atrous.data.labels import IGNORE


def _no_counts() -> np.ndarray:
    return np.zeros(256, np.int64)


@dataclass(slots=True)
class Tally:
    """A split under examination; every pair is added once.

    Attributes:
        split: Its name.
        dataset: Its pairs and classes.
        crop_size: Height and width in pixels of training crops, or None.
        mistakes: Of the pairs that could not be read.
        num_read: Pairs that could be.
        pixel_counts: Pixels of each label.
        image_counts: Images that show each label.
        smallest_size: Smallest height and smallest width, in pixels; of volumes, the smallest x, y and z.
        largest_size: Largest height and largest width, in pixels; of volumes, the largest x, y and z.
        ignored_crops: Sum over the pairs of the share of crops without a valid pixel.
        all_ignored: Masks without a valid pixel.
        below_crop: Images smaller than a crop on a side.
        partly_ignored: Masks with an ignored pixel.
        digests: Of image and labels of the pairs, for finding duplicates.
        spacings: Millimeters a voxel along x, y and z, of every volume.
    """

    split: str
    dataset: Dataset
    crop_size: tuple[int, int] | None = None
    mistakes: list[Mistake] = field(default_factory=list)
    num_read: int = 0
    pixel_counts: np.ndarray = field(default_factory=_no_counts)
    image_counts: np.ndarray = field(default_factory=_no_counts)
    smallest_size: tuple[int, ...] = (0, 0)
    largest_size: tuple[int, ...] = (0, 0)
    ignored_crops: float = 0.0
    all_ignored: list[Path] = field(default_factory=list)
    below_crop: list[Path] = field(default_factory=list)
    partly_ignored: list[Path] = field(default_factory=list)
    digests: list[tuple[Path, bytes, bytes]] = field(default_factory=list)
    spacings: list[tuple[float, ...]] = field(default_factory=list)

    def add_(self, pair: Pair, found: Measures | tuple[Mistake, ...]) -> None:
        """Count a pair."""
        if isinstance(found, tuple):
            self.mistakes.extend(found)
            return
        shows = found.pixel_counts > 0
        self.smallest_size = _by_axis(min, self.smallest_size, found.size) if self.num_read else found.size
        self.largest_size = _by_axis(max, self.largest_size, found.size) if self.num_read else found.size
        self.num_read += 1
        self.pixel_counts += found.pixel_counts
        self.image_counts += shows
        self.ignored_crops += found.ignored_crop_share
        self.spacings += [found.spacing] * bool(found.spacing)
        if shows[IGNORE]:
            self.partly_ignored.append(pair.mask_path)
        if not shows[:IGNORE].any():
            self.all_ignored.append(pair.mask_path)
        if self.crop_size and any(side < crop for side, crop in zip(found.size, self.crop_size, strict=True)):
            self.below_crop.append(pair.image_path)
        if found.image_digest:
            self.digests.append((pair.image_path, found.image_digest, found.labels_digest))

    @property
    def is_whole(self) -> bool:
        """Whether every pair was read, so that what was not seen is not there."""
        return self.num_read == len(self.dataset)

    @property
    def encoding(self) -> IndexEncoding | None:
        """How the first mask file stores class numbers; None if all are of colors or annotations."""
        masks = (pair.mask for pair in self.dataset.pairs)  # of two kinds where VOC and SBD are one split
        encodings = (mask.encoding for mask in masks if isinstance(mask, FileMask))
        return next((encoding for encoding in encodings if isinstance(encoding, IndexEncoding)), None)

    @property
    def shown(self) -> frozenset[int]:
        """Labels of the classes that occur."""
        return frozenset(np.flatnonzero(self.pixel_counts[:IGNORE]).tolist())

    @property
    def ignored_share(self) -> float:
        """Ignored pixels among all, in [0, 1]."""
        return float(self.pixel_counts[IGNORE] / max(1, self.pixel_counts.sum()))

    @property
    def ignored_crop_share(self) -> float:
        """Crops without a valid pixel among all that may be drawn, in [0, 1]."""
        return self.ignored_crops / max(1, self.num_read)

    def to_report(self) -> SplitReport:
        """The figures."""
        num_valid = max(1, self.pixel_counts[:IGNORE].sum())
        classes = tuple(
            ClassReport(name, float(self.pixel_counts[label] / num_valid), int(self.image_counts[label]))
            for label, name in enumerate(self.dataset.label_set.names)
        )
        return SplitReport(
            name=self.split,
            num_samples=len(self.dataset),
            num_read=self.num_read,
            smallest_size=self.smallest_size,
            largest_size=self.largest_size,
            ignored_share=self.ignored_share,
            ignored_crop_share=self.ignored_crop_share if self.crop_size else None,
            classes=classes,
        )


def _by_axis(
    choose: Callable[[int, int], int], one: tuple[int, ...], other: tuple[int, ...]
) -> tuple[int, ...]:
    return tuple(choose(a, b) for a, b in zip(one, other, strict=True))
