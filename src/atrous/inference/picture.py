"""What counts as an image for a network of images."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from atrous.data.images import read_image, rgb_from_pillow
from atrous.errors import ShapeError

Picture = UInt8[np.ndarray, "h w 3"]


def to_picture(image: np.ndarray | Image.Image | str | Path) -> Picture:
    """RGB pixels of an array, a Pillow image of any mode, or a file.

    Raises:
        DataError: If the file is no readable image.
        ShapeError: If the array is no RGB image.
    """
    if isinstance(image, (str, Path)):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        return rgb_from_pillow(image, source="the image")
    if not isinstance(image, np.ndarray):
        raise ShapeError(f"an image is an array, a Pillow image or a file, not a {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ShapeError(
            f"an image is uint8 RGB (h, w, 3), not {image.dtype} {image.shape}; convert it, or pass its path"
            "; a volume needs a network for volumes"
        )
    return image
