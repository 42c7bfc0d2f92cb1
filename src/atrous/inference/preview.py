"""A picture small enough to look at, of a raster of any size under the colors of its labels."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from atrous.data.labels import LabelSet
from atrous.figures.overlay import overlay
from atrous.inference.label_strips import LabelStrips
from atrous.inference.rasters import Raster

LONGEST_SIDE = 4096
"""Of a preview, px."""

_PIXELS = 1 << 19  # of a chunk; an overlay takes some 100 bytes a pixel while it is made


def preview(
    raster: Raster,
    strips: LabelStrips,
    label_set: LabelSet,
    *,
    opacity: float = 0.5,
    longest_side: int = LONGEST_SIDE,
) -> UInt8[np.ndarray, "h w 3"]:
    """The overlay of a raster, every square of so many pixels averaged that no side is too long.

    The squares are the smallest that do; those at the right and lower border may be cut. The raster is read
    once more, some rows at a time.

    Args:
        raster: The image.
        strips: Its labels, all done and not yet joined.
        label_set: Names and colors of the labels.
        opacity: Of the colors, 0-1.
        longest_side: Of the preview, in pixels.

    Returns:
        RGB, 0-255.

    Raises:
        DataError: If the raster cannot be read.
        OutputError: If a strip cannot be read.
        ConfigError: If the opacity is not from 0 to 1.
    """
    height, width = raster.size
    side = -(-max(height, width) // longest_side)  # px of the raster a pixel of the preview
    chunk = max(_PIXELS // width // side, 1) * side
    small = np.empty((-(-height // side), -(-width // side), 3), np.uint8)
    start = 0
    for labels in strips.rows(chunk):
        image = raster.read(start, start + len(labels))
        colored = overlay(image, labels, label_set.palette, opacity=opacity)
        reduced = np.asarray(Image.fromarray(colored).reduce(side))
        small[start // side :][: len(reduced)] = reduced
        start += len(labels)
    return small
