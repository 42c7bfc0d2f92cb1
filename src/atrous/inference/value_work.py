"""Images and the files that the depth or motion measured in them becomes."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from atrous.data.flo import write_flo
from atrous.data.images import write_image
from atrous.data.measured_file import write_depth
from atrous.data.places import Place, read_image_at, write_at
from atrous.data.quantity import Quantity, Values
from atrous.errors import DataError
from atrous.inference.work import Part

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

ENDINGS = {"depth": ".tif", "flow": ".flo"}


@dataclass(frozen=True, slots=True)
class ValueWork:
    """An image, or two of them, to measure; see `Work`.

    Attributes:
        sources: The images that the network sees at once.
        picture: PNG of the values in color; written last, so where it is, the values are.
        values: Float32 TIFF of depth, or .flo of motion.
        quantity: What is measured.
        note: How the prediction is made; kept in the picture.
    """

    sources: tuple[Place, ...]
    picture: Place
    values: Place
    quantity: Quantity
    note: str = ""

    @property
    def source(self) -> Place:
        """The first image."""
        return self.sources[0]

    @property
    def outputs(self) -> tuple[Place, ...]:
        """What is written."""
        return self.picture, self.values

    def read(self) -> UInt8[np.ndarray, "h w c"]:
        """RGB images, 0-255, one behind the other.

        Raises:
            DataError: If one cannot be read, or they differ in size.
        """
        images = [read_image_at(source) for source in self.sources]
        for source, image in zip(self.sources, images, strict=True):
            if image.shape != images[0].shape:
                sizes = " and ".join(f"{each.shape[1]} x {each.shape[0]}" for each in (images[0], image))
                raise DataError(
                    f"{self.sources[0]} and {source} are {sizes} px (width x height); motion is between "
                    "images of one size: give frames of one film"
                )
        return np.concatenate(images, axis=2)

    def predict(
        self, predictor: "Predictor", content: UInt8[np.ndarray, "h w c"]
    ) -> Generator[Part, None, Values]:
        """Values at every pixel of the first image; at once."""
        yield from ()
        return predictor(content).values

    def write(self, result: Values) -> None:
        """Write the files, the picture last.

        Raises:
            OutputError: If one cannot be written.
        """
        from atrous.figures.value_colors import color_depth, color_flow

        is_depth = self.quantity.kind == "depth"
        picture = color_depth(result[0]) if is_depth else color_flow(result)

        def write_values(path: Path) -> None:
            if is_depth:
                write_depth(path, result, unit=self.quantity.unit)
            else:
                write_flo(path, result)

        write_at(self.values, write_values)
        write_at(self.picture, lambda path: write_image(path, picture, note=self.note))
