"""What counts as an image for a network of images."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from atrous.data.images import read_image, rgb_from_pillow
from atrous.errors import ShapeError

Picture = UInt8[np.ndarray, "h w c"]


def to_picture(image: np.ndarray | Image.Image | str | Path, *, channels: int) -> Picture:
    """RGB, 0-255, of an array, a Pillow image or a file; with more channels than three, of an array only.

    Raises:
        DataError: If the file is no readable image.
        ShapeError: If it is something else, or an array of another shape or type.
    """
    if channels != 3 and not isinstance(image, np.ndarray):
        raise ShapeError(
            f"the network sees {channels // 3} images at once; give them as one array (h, w, {channels})"
        )
    if isinstance(image, (str, Path)):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        return rgb_from_pillow(image, source="the image")
    if not isinstance(image, np.ndarray):
        raise ShapeError(f"an image is an array, a Pillow image or a file, not a {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != channels or image.dtype != np.uint8 or image.size == 0:
        raise ShapeError(
            f"an image is uint8 RGB (h, w, {channels}), not {image.dtype} {image.shape}; convert it, or pass "
            "its path; a volume needs a network for volumes"
        )
    return image
