"""Augmentation of an image and its labels or values together: scale, mirror, crop with reflection, color."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from atrous.data.folder import Sample
from atrous.data.labels import IGNORE
from atrous.data.measured_crops import taken, zoomed
from atrous.data.quantity import Measured
from atrous.errors import ConfigError
from atrous.ops.pad import reflected_index

GREY = 128.0  # contrast turns round the middle of 0-255


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What happens to a training sample.

    Attributes:
        crop_size: Height and width in pixels of what the network sees; labels beyond the image are ignored.
        scale: Smallest and largest factor on both sides, drawn log-uniformly; (1, 1) leaves the size.
        mirror: Whether half of the samples are flipped left to right.
        color: Strength of brightness, contrast and channel changes; 0.2 is mild, 0 none.
    """

    crop_size: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    mirror: bool = True
    color: float = 0.0

    def __post_init__(self) -> None:
        if min(self.crop_size) < 1:
            raise ConfigError(f"crop_size {self.crop_size} must be at least 1 x 1 pixel")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"scale {self.scale} must be two positive factors, smaller first")
        if not 0 <= self.color <= 1:
            raise ConfigError(f"color {self.color} must lie in 0..1")


@dataclass(frozen=True, slots=True)
class Crop:
    """A training sample: image RGB with its reflected margin; labels, or the values of a regression."""

    image: UInt8[np.ndarray, "c H W"]
    labels: UInt8[np.ndarray, "h w"] | Float32[np.ndarray, "k h w"]


def augment(
    sample: Sample | Measured, augmentation: Augmentation, generator: np.random.Generator, *, margin: int = 0
) -> Crop:
    """A random crop of the sample; the same generator state gives the same crop.

    Yu & Koltun's released scripts reflect the image by the margin and take labels at offset `margin`; beyond
    the image the labels are ignored, so a crop may be larger than the image.

    Args:
        sample: Image and labels as read, or measured values.
        augmentation: What to draw.
        generator: Source of all randomness.
        margin: Extra reflected pixels on every side of the image, none for its labels.
    """
    factor = math.exp(generator.uniform(math.log(augmentation.scale[0]), math.log(augmentation.scale[1])))
    mirrored = augmentation.mirror and generator.random() < 0.5
    image = _resize(sample.image, factor)
    top, left = (
        int(generator.integers(min(0, side - crop), max(0, side - crop) + 1))
        for side, crop in zip(image.shape[:2], augmentation.crop_size, strict=True)
    )
    rows, columns = (
        np.arange(start, start + crop)
        for start, crop in zip((top, left), augmentation.crop_size, strict=True)
    )
    if mirrored:
        columns = columns[::-1]
    labels = _targets(sample, (image.shape[0], image.shape[1]), rows, columns)
    image = image[_with_margin(rows, margin, image.shape[0])][
        :, _with_margin(columns, margin, image.shape[1])
    ]
    image = _recolor(image, augmentation.color, generator)
    return Crop(image.transpose(2, 0, 1), labels)


def _resize(image: np.ndarray, factor: float) -> np.ndarray:
    """The image, or each of several behind each other, at another size."""
    height, width, channels = image.shape
    size = max(1, round(width * factor)), max(1, round(height * factor))
    if size == (width, height):
        return image
    parts = [
        np.asarray(Image.fromarray(part).resize(size, Image.Resampling.BILINEAR))
        for part in np.split(image, channels // 3, axis=2)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def _targets(
    sample: Sample | Measured, size: tuple[int, int], rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """What is to be learned at rows and columns of the image of that size."""
    if isinstance(sample, Measured):
        return taken(zoomed(sample.values, size, sample.quantity), rows, columns, sample.quantity)
    labels = sample.labels
    if labels.shape != size:
        labels = np.asarray(Image.fromarray(labels).resize((size[1], size[0]), Image.Resampling.NEAREST))
    return _take_labels(labels, rows, columns)


def _with_margin(positions: np.ndarray, margin: int, size: int) -> np.ndarray:
    """Positions and `margin` more on both ends, reflected into 0..size-1, in their direction."""
    start, stop = int(positions.min()) - margin, int(positions.max()) + 1 + margin
    index = reflected_index(start, stop, size)
    return index[::-1] if positions[0] > positions[-1] else index


def _take_labels(labels: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    inside_rows = (rows >= 0) & (rows < labels.shape[0])
    inside_columns = (columns >= 0) & (columns < labels.shape[1])
    taken = np.full((len(rows), len(columns)), IGNORE, np.uint8)
    taken[np.ix_(inside_rows, inside_columns)] = labels[np.ix_(rows[inside_rows], columns[inside_columns])]
    return taken


def _recolor(image: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Contrast and brightness for all, a gain for each channel; a table of 256 values a channel."""
    if strength == 0:
        return image
    contrast = 1 + generator.uniform(-strength, strength)
    shift = GREY * generator.uniform(-strength, strength)
    gains = 1 + generator.uniform(-strength / 4, strength / 4, 3)
    levels = np.arange(256)[:, None]
    table = np.clip((levels - GREY) * contrast * gains + GREY + shift, 0, 255).round().astype(np.uint8)
    return np.stack([table[image[..., channel], channel % 3] for channel in range(image.shape[2])], axis=-1)
