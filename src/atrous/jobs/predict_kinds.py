"""Which kind of work an input is: an image, a raster, a volume, a pair; and what its results are called."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from atrous.data.image_header import ImageHeader, read_header
from atrous.data.label_tracks import ENDING
from atrous.data.quantity import Quantity
from atrous.data.sound import is_sound
from atrous.data.volume_names import is_volume
from atrous.errors import ConfigError, DataError
from atrous.inference.image_work import ImageWork
from atrous.inference.raster_work import RasterWork
from atrous.inference.sound_work import SoundWork
from atrous.inference.value_work import ENDINGS, ValueWork
from atrous.inference.volume_work import VolumeWork
from atrous.inference.work import Work
from atrous.jobs.predict_plan import Plan

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor
    from atrous.jobs.predict import PredictConfig

COMPILING_PAYS = 50
"""Images of one size, from which on compiling the network for it, 6 to 22 s, is won back."""

LONGEST_JPEG = 65_500
"""Pixels of a side that a JPEG, as which overlays are written, can have."""

_TIFF = (".tif", ".tiff")


def works_on(
    plans: Sequence[Plan], config: "PredictConfig", *, note: str, quantity: Quantity | None
) -> list[Work]:
    """What is to be done for all inputs, by what the network gives: labels, or a quantity.

    Motion is from each image to the next one in its folder.

    Raises:
        ConfigError: If settings of labels are given for a quantity.
        DataError: If there is no pair of images for motion, or a GeoTIFF or volume for a quantity.
    """
    if quantity is None:
        return [work_on(plan, config, note=note) for plan in plans]
    if config.save_probabilities or config.bands or config.span is not None:
        names = "save_probabilities, bands and span"
        raise ConfigError(f"{names} are for labels, and the network gives {quantity.kind}; leave them out")
    for plan in plans:
        is_placed = isinstance(plan.image, Path) and read_header(plan.image).is_placed
        if is_placed or is_volume(str(plan.image)):
            raise DataError(
                f"{plan.image} is a volume or lies on a map, and {quantity.kind} is written of plain images "
                "only; save it as PNG"
            )
    first, last = 0, quantity.num_images
    groups = [plans[first + number : last + number] for number in range(len(plans) - last + 1)]
    works = [
        ValueWork(
            tuple(plan.image for plan in group),
            group[0].label_map(".png"),
            group[0].label_map(ENDINGS[quantity.kind]),
            quantity,
            note,
        )
        for group in groups
        if len({PurePath(plan.image).parent for plan in group}) == 1
    ]
    if not works:
        raise DataError(
            "motion is from one image to the next in its folder, and no folder has two; give frames in order"
        )
    return list(works)


def refuse_impossible(predictor: "Predictor", config: "PredictConfig") -> None:
    """Nothing, if the network is asked for what it can give.

    Raises:
        ConfigError: If it generates sounds, or probabilities are wanted of a network for sounds, or of an
            exported file that gives labels.
    """
    from atrous.data.voice import Voice  # loads torch
    from atrous.inference.exported import refuse_labels_only

    if config.save_probabilities:
        refuse_labels_only(predictor.network, what="--save-probabilities")
    if predictor.network.num_axes != 1:
        return
    if isinstance(predictor.meaning, Voice):
        raise ConfigError("the network generates sounds and labels none; see atrous generate")
    if config.save_probabilities:
        raise ConfigError("a label track holds no probabilities; leave out --save-probabilities")


def work_on(plan: Plan, config: "PredictConfig", *, note: str) -> Work:
    """What is to be done for an input.

    A TIFF with a place on earth, or another image with a world file, becomes a GeoTIFF on the same grid. It
    is read by rows, as are TIFFs that Pillow does not decode, such as those of many bands, and images of too
    many pixels for Pillow, or too long for a JPEG. What lies behind a URL is an image, or a volume.
    """
    if is_sound(str(plan.image)):
        return SoundWork(plan.image, plan.label_map(ENDING))
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
