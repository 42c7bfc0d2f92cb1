"""Pictures to try the page with, drawn when the server starts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from atrous.data.depth_scenes import DepthScenes
from atrous.data.images import encode_image
from atrous.data.quantity import Quantity
from atrous.data.scenes import Scenes

SCENES, DEPTHS = (0, 4, 8), (0, 1, 2)  # numbers of the validation split


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A picture by name.

    Attributes:
        name: A few words.
        image: RGB, 0-255.
        png: The same as a file.
    """

    name: str
    image: UInt8[np.ndarray, "h w 3"]
    png: bytes


def draw_examples(quantity: Quantity | None) -> tuple[Example, ...]:
    """Scenes with boards for depth, with rings and cores for classes."""
    if quantity is None:
        images = [Scenes("val")[number].image for number in SCENES]
    else:
        images = [DepthScenes("val")[number].image for number in DEPTHS]
    return tuple(
        Example(f"scene {number}", image, bytes(encode_image(image)))
        for number, image in enumerate(images, start=1)
    )
