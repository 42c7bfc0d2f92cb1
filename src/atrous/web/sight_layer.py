"""The heat of a sight as a picture to lay over the image, and what it shows in a sentence."""

from typing import Any

import numpy as np

from atrous.data.images import encode_image
from atrous.figures.effective import SHARE, heat_layer
from atrous.web.sight import Sight


def heat_of(sight: Sight) -> tuple[bytes, dict[str, Any]]:
    """A transparent PNG, where it lies in the image, and a sentence."""
    height, width = sight.mass.shape
    told = {
        "top": sight.top,
        "left": sight.left,
        "height": height,
        "width": width,
        "is_whole": sight.is_whole,
        "window": list(sight.window),
        "pixels": _pixels_of(sight.mass),
        "share": SHARE,
    }
    return bytes(encode_image(heat_layer(sight.mass))), told


def _pixels_of(mass: np.ndarray) -> int:
    """The fewest pixels that hold `SHARE` of the mass."""
    falling = np.sort(mass, axis=None)[::-1].cumsum()
    return int(np.searchsorted(falling, SHARE * falling[-1])) + 1
