"""What a network says about an image that it sees at another size, or mirrored."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from atrous.inference.prediction import AS_IT_IS, Zoom, grid_of
from atrous.models.contract import LogitGeometry
from atrous.ops.resample import upsample_logits


def resized(image: UInt8[np.ndarray, "h w c"], scale: float) -> tuple[UInt8[np.ndarray, "y x c"], Zoom]:
    """An image at another size, and how many of its pixels one of that size is, along both axes."""
    height, width = image.shape[:2]
    zoom = height / max(1, round(height * scale)), width / max(1, round(width * scale))
    return as_seen(image, zoom), zoom


def as_seen(image: UInt8[np.ndarray, "h w c"], zoom: Zoom) -> UInt8[np.ndarray, "y x c"]:
    """An image at the size at which one pixel is so many of it."""
    if zoom == AS_IT_IS:
        return image
    height, width = (round(side / factor) for side, factor in zip(image.shape[:2], zoom, strict=True))
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def seen_as(
    image: UInt8[np.ndarray, "h w 3"],
    ask: Callable[[UInt8[np.ndarray, "y x 3"]], Float[Tensor, "k i j"]],
    geometry: LogitGeometry,
    *,
    scale: float,
    mirrored: bool,
) -> Float[Tensor, "k h w"]:
    """Probabilities at every pixel of an image that is seen at another size, or mirrored.

    Args:
        image: RGB, 0-255.
        ask: Gives the logits of an image on the network's own grid.
        geometry: Where that grid lies.
        scale: Of the sides.
        mirrored: Left and right changed.
    """
    view, zoom = resized(image, scale)
    cells = ask(view[:, ::-1] if mirrored else view)
    stride, center = grid_of(geometry.output_stride, geometry.center, zoom)
    logits = upsample_logits(cells[None], image.shape[:2], stride=stride, center=center)[0]
    return (logits.flip(-1) if mirrored else logits).softmax(0)
