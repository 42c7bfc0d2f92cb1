"""Augmentation of a volume and its labels together: zoom, flips, crop with reflection, contrast."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from atrous.data.labels import IGNORE
from atrous.errors import ConfigError
from atrous.ops.pad import reflected_index


@dataclass(frozen=True, slots=True)
class VolumeAugmentation:
    """What happens to a training volume.

    Attributes:
        crop_size: Voxels along x, y and z of what the network sees; labels beyond the volume are ignored.
        scale: Smallest and largest factor on all sides, drawn log-uniformly; (1, 1) leaves the size.
        flips: Axes along which half of the samples are flipped: 0 left-right, 1 back-front, 2 down-up.
            Most anatomy has sides: a flipped heart, or brain, is a sight that never comes.
        contrast: Strength of random contrast and brightness, in standard deviations; 0.2 is mild, 0 none.
    """

    crop_size: tuple[int, int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    flips: tuple[int, ...] = ()
    contrast: float = 0.0

    def __post_init__(self) -> None:
        if min(self.crop_size) < 1:
            raise ConfigError(f"crop_size {self.crop_size} must be at least 1 x 1 x 1 voxel")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"scale {self.scale} must be two positive factors, smaller first")
        if not set(self.flips) <= {0, 1, 2}:
            raise ConfigError(f"flips {self.flips} must be axes of a volume: 0, 1, 2")
        if not 0 <= self.contrast <= 1:
            raise ConfigError(f"color {self.contrast} must lie in 0..1")


@dataclass(frozen=True, slots=True)
class VolumeCrop:
    """A training sample: normalized intensities with their reflected margin, and labels without one."""

    image: Float32[np.ndarray, "1 X Y Z"]
    labels: UInt8[np.ndarray, "x y z"]


def augment_volume(
    values: Float32[np.ndarray, "i j k"],
    labels: UInt8[np.ndarray, "i j k"],
    augmentation: VolumeAugmentation,
    generator: np.random.Generator,
    *,
    margin: int = 0,
) -> VolumeCrop:
    """A random crop of a volume; the same generator state gives the same crop.

    A zoomed volume is interpolated linearly, its labels by nearest neighbor, and only where the crop lies.

    Args:
        values: Normalized intensities of the whole volume.
        labels: 0 to k-1, and 255 for ignored voxels.
        augmentation: What to draw.
        generator: Source of all randomness.
        margin: Extra reflected voxels on every side of the values, none for the labels.
    """
    low, high = augmentation.scale
    factor = math.exp(generator.uniform(math.log(low), math.log(high)))
    flipped = [axis in augmentation.flips and generator.random() < 0.5 for axis in range(3)]
    image, kept = values, labels
    for axis, (side, crop) in enumerate(zip(labels.shape, augmentation.crop_size, strict=True)):
        zoomed = max(1, round(side * factor))
        start = int(generator.integers(min(0, zoomed - crop), max(0, zoomed - crop) + 1))
        cells = np.arange(start - margin, start + crop + margin)
        if flipped[axis]:
            cells = cells[::-1]
        places = (cells + 0.5) * side / zoomed - 0.5  # where voxels of the zoomed volume lie in the given one
        image = _interpolated(image, places, axis)
        kept = _nearest(kept, places[margin : margin + crop], axis)
    contrast = 1 + generator.uniform(-augmentation.contrast, augmentation.contrast)
    shift = generator.uniform(-augmentation.contrast, augmentation.contrast)
    return VolumeCrop((image * contrast + shift).astype(np.float32)[None], np.ascontiguousarray(kept))


def _interpolated(
    values: Float32[np.ndarray, "i j k"], places: Float64[np.ndarray, " n"], axis: int
) -> Float32[np.ndarray, "x y z"]:
    """Values at places along an axis, between voxels and, reflected, beyond them."""
    below = np.floor(places).astype(np.int64)
    share = (places - below).astype(np.float32)
    first = int(below.min())
    index = reflected_index(first, int(below.max()) + 2, values.shape[axis])
    taken = values.take(index[below - first], axis)
    if not share.any():
        return taken
    shape = [-1 if other == axis else 1 for other in range(values.ndim)]
    after = values.take(index[below - first + 1], axis)
    return taken + (after - taken) * share.reshape(shape)


def _nearest(
    labels: UInt8[np.ndarray, "i j k"], places: Float64[np.ndarray, " n"], axis: int
) -> UInt8[np.ndarray, "x y z"]:
    """Labels at places along an axis, ignored where these lie beyond it."""
    index = np.floor(places + 0.5).astype(np.int64)
    side = labels.shape[axis]
    taken = labels.take(index.clip(0, side - 1), axis)
    np.moveaxis(taken, axis, 0)[(index < 0) | (index >= side)] = IGNORE
    return taken
