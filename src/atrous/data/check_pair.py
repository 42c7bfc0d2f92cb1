"""What one pair of a data set is like: its mistakes, or the figures that a report adds up."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt8

from atrous.data.encoding import ColorEncoding
from atrous.data.folder import Dataset, FileMask, Pair, Sample
from atrous.data.image_header import opened
from atrous.data.images import read_color_mask, read_image, read_index_mask
from atrous.data.label_tracks import TrackMask
from atrous.data.labels import IGNORE
from atrous.data.volume_pair import VolumeMask, volume_faults
from atrous.errors import DataError

MistakeKind = Literal[
    "missing mask",
    "missing image",
    "unreadable image",
    "unreadable mask",
    "mask without numbers",
    "foreign number",
    "foreign color",
    "broken annotation",
    "sizes differ",
    "voxels without intensity",
    "places differ",
]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Why a pair cannot be used.

    Attributes:
        kind: What mistakes of many files are grouped by.
        pair: The pair.
        file: The one of its files that is at fault.
        sentence: What is wrong with it and the way out.
        numbers: For a "foreign number", all numbers that the mask holds.
    """

    kind: MistakeKind
    pair: Pair
    file: Path
    sentence: str
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Measures:
    """Figures of a pair that can be used.

    Attributes:
        size: Height and width in pixels; of a volume, voxels along x, y and z.
        pixel_counts: Pixels of each label.
        image_digest: Equal for equal pixels, however stored; empty where all pixels are alike.
        labels_digest: Equal for equal labels.
        ignored_crop_share: Of the crops asked about; 0 where none were.
        spacing: Millimeters a voxel along x, y and z; empty for images.
    """

    size: tuple[int, ...]
    pixel_counts: Int64[np.ndarray, "256"]
    image_digest: bytes
    labels_digest: bytes
    ignored_crop_share: float
    spacing: tuple[float, ...] = ()


def inspect_pair(
    dataset: Dataset, index: int, *, crop_size: tuple[int, int] | None = None
) -> Measures | tuple[Mistake, ...]:
    """Figures of a pair, or everything that keeps it from being read.

    Args:
        dataset: Holds the pair.
        index: Of the pair.
        crop_size: Height and width in pixels of the crops to count; None for none.
    """
    try:
        sample = dataset[index]
    except DataError as error:
        return _explain(dataset.pairs[index], str(error))
    return _measure(sample, crop_size)


def is_complete(pair: Pair) -> bool:
    """Whether both files of a pair exist."""
    return pair.image_path.is_file() and pair.mask_path.is_file()


def ignored_crop_share(labels: UInt8[np.ndarray, "h w"], crop_size: tuple[int, int]) -> float:
    """Share of the places of a training crop at which it holds no valid pixel.

    The places are those that `augment` draws from, all alike; where a crop is larger than the image, it holds
    the whole side.
    """
    valid = labels != IGNORE
    if valid.all():
        return 0.0
    height, width = (min(side, crop) for side, crop in zip(labels.shape, crop_size, strict=True))
    sums = np.pad(
        valid.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0))
    )  # of all pixels above and to the left
    counts = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    return float((counts == 0).mean())


def _measure(sample: Sample, crop_size: tuple[int, int] | None) -> Measures:
    first = sample.image[(0,) * min(2, sample.image.ndim)]
    plain = bool((sample.image == first).all())  # blank slices repeat without being duplicates
    return Measures(
        size=sample.labels.shape,
        pixel_counts=np.bincount(sample.labels.ravel(), minlength=256),
        image_digest=b"" if plain else _digest(sample.image),
        labels_digest=_digest(sample.labels),
        ignored_crop_share=ignored_crop_share(sample.labels, crop_size) if crop_size else 0.0,
        spacing=sample.spacing,
    )


def _digest(pixels: np.ndarray) -> bytes:
    """Hash of size and pixels."""
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def _explain(pair: Pair, sentence: str) -> tuple[Mistake, ...]:
    """The mistakes of a pair that could not be read, of which `sentence` tells the first."""
    image, mask = pair.image_path, pair.mask_path
    if not image.is_file() and not mask.is_file():
        sentence = f"{image} and its mask {mask} are both missing; add them, or take them off the list"
        return (Mistake("missing image", pair, image, sentence),)
    if not image.is_file():
        return (Mistake("missing image", pair, mask, sentence),)
    if not mask.is_file():
        return (Mistake("missing mask", pair, image, sentence),)
    if isinstance(pair.mask, TrackMask):
        is_of_track = str(mask) in sentence
        kind: MistakeKind = "broken annotation" if is_of_track else "unreadable image"
        return (Mistake(kind, pair, mask if is_of_track else image, sentence),)
    if isinstance(pair.mask, VolumeMask):
        return tuple(Mistake(kind, pair, file, text) for kind, file, text in volume_faults(image, pair.mask))
    mistakes = []
    try:
        read_image(image)
    except DataError as error:
        mistakes.append(Mistake("unreadable image", pair, image, str(error)))
    try:
        pair.mask.read()
    except DataError as error:
        mistakes.append(_explain_mask(pair, str(error)))
    return tuple(mistakes) or (Mistake("sizes differ", pair, image, sentence),)


def _explain_mask(pair: Pair, sentence: str) -> Mistake:
    """What kind of mistake a mask has that could not be read."""
    if not isinstance(pair.mask, FileMask):
        return Mistake("broken annotation", pair, pair.image_path, sentence)
    path = pair.mask.path
    try:
        colors = read_color_mask(path)
    except DataError:
        return Mistake("unreadable mask", pair, path, sentence)
    if isinstance(pair.mask.encoding, ColorEncoding):
        return Mistake("foreign color", pair, path, sentence)
    try:
        numbers = np.unique(read_index_mask(path))
    except DataError:
        with opened(path) as image:
            has_channels = len(image.getbands()) >= 3
        if has_channels and (colors == colors[..., :1]).all():
            sentence += " (its three channels are equal: one of them is the mask)"
        return Mistake("mask without numbers", pair, path, sentence)
    return Mistake("foreign number", pair, path, sentence, tuple(int(number) for number in numbers))
