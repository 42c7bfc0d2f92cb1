"""The heat of a sight as a picture to lay over the image, and what it shows in figures."""

from typing import Any

import numpy as np

from atrous.data.images import encode_image
from atrous.figures.effective import SHARE, heat_layer
from atrous.inference.prediction import Zoom
from atrous.web.sight import Sight


def heat_of(sight: Sight, zoom: Zoom) -> tuple[bytes, dict[str, Any]]:
    """A transparent PNG, and where it lies in the image, of which a pixel that was seen is `zoom` pixels."""
    (y_zoom, x_zoom), (height, width) = zoom, sight.mass.shape
    told = {
        "top": round(sight.top * y_zoom),
        "left": round(sight.left * x_zoom),
        "height": round(height * y_zoom),
        "width": round(width * x_zoom),
        "is_whole": sight.is_whole,
        "window": [round(sight.window[0] * y_zoom), round(sight.window[1] * x_zoom)],
        "pixels": round(_pixels_of(sight.mass) * y_zoom * x_zoom),
        "share": SHARE,
    }
    return bytes(encode_image(heat_layer(sight.mass))), told


def _pixels_of(mass: np.ndarray) -> int:
    """The fewest pixels that hold `SHARE` of the mass."""
    falling = np.sort(mass, axis=None)[::-1].cumsum()
    return int(np.searchsorted(falling, SHARE * falling[-1])) + 1
