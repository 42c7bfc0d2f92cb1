"""Which kind of work an input is: an image, a raster, a volume; and what its label map is called."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from atrous.data.image_header import ImageHeader, read_header
from atrous.data.volume_names import is_volume
from atrous.inference.image_work import ImageWork
from atrous.inference.raster_work import RasterWork
from atrous.inference.volume_work import VolumeWork
from atrous.inference.work import Work
from atrous.jobs.predict_plan import Plan

if TYPE_CHECKING:
    from atrous.jobs.predict import PredictConfig

COMPILING_PAYS = 50
"""Images of one size, from which on compiling the network for it, 6 to 22 s, is won back."""

LONGEST_JPEG = 65_500
"""Pixels of a side that a JPEG, as which overlays are written, can have."""

_TIFF = (".tif", ".tiff")


def work_on(plan: Plan, config: "PredictConfig", *, note: str) -> Work:
    """What is to be done for an input.

    A TIFF with a place on earth, or another image with a world file, becomes a GeoTIFF on the same grid. It
    is read by rows, as are TIFFs that Pillow does not decode, such as those of many bands, and images of too
    many pixels for Pillow, or too long for a JPEG. What lies behind a URL is an image, or a volume.
    """
    header = read_header(plan.image) if isinstance(plan.image, Path) else ImageHeader()
    volume = is_volume(str(plan.image))
    ending = ".nii.gz" if volume else ".tif" if header.is_placed else ".png"
    image = ImageWork(
        plan.image,
        plan.label_map(ending),
        overlay=plan.overlay if config.overlay else None,
        probabilities=plan.probabilities if config.save_probabilities else None,
        opacity=config.opacity,
        note=note,
    )
    if volume:
        return VolumeWork(image, config.axis)
    is_tiff = isinstance(plan.image, Path) and plan.image.suffix.lower() in _TIFF
    is_long = header.size is not None and max(header.size) > LONGEST_JPEG
    is_chosen = bool(config.bands) or config.span is not None
    is_large = header.is_huge or is_long
    if header.is_placed or is_large or (is_tiff and (is_chosen or header.size is None)):
        return RasterWork(image, config.bands or None, config.span, config.overwrite)
    return image


def sizes_repeat(works: Sequence[Work]) -> bool:
    """Whether so many images have one of so few sizes that compiling the network for each pays."""
    images = [work.source for work in works if isinstance(work, ImageWork) and isinstance(work.source, Path)]
    if len(images) < COMPILING_PAYS:
        return False
    sizes = Counter(read_header(image).size for image in images)
    return len(images) >= COMPILING_PAYS * len(sizes)
