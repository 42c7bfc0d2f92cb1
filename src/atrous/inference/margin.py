"""Images as a network wants them, normalized and with its margin, from all of their rows or from some."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from atrous.errors import ShapeError
from atrous.models.contract import DenseNetwork
from atrous.ops.pad import pad_reflect, reflected_index

ReadRows = Callable[[int, int], UInt8[np.ndarray, "rows w c"]]
"""From a first row and one past the last to these rows of an image, RGB, 0-255."""


@dataclass(frozen=True, slots=True)
class Margined:
    """Rows of an image as a network wants them: normalized, with its margin.

    Attributes:
        network: It says how, and how wide the margin is.
        size: Height and width of the image in pixels, without the margin.
        device: Where the rows are brought.
    """

    network: DenseNetwork
    size: tuple[int, int]
    device: torch.device

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width with the margin."""
        height, width = (side + 2 * self.network.margin for side in self.size)
        return height, width

    def pixels(self, read: ReadRows, start: int, stop: int) -> UInt8[np.ndarray, "rows w c"]:
        """Rows start..stop-1 of the image with its margin above and below, without that at the sides.

        Raises:
            ShapeError: If something else is read than was asked for.
        """
        index = reflected_index(start - self.network.margin, stop - self.network.margin, self.size[0])
        lowest, after = int(index.min()), int(index.max()) + 1
        rows = read(lowest, after)
        wanted = (after - lowest, self.size[1], self.network.num_channels)
        if rows.shape != wanted or rows.dtype != np.uint8:
            raise ShapeError(
                f"read({lowest}, {after}) gave {rows.dtype} {rows.shape} of an image of {self.size}; give "
                f"uint8 {wanted}"
            )
        return rows[index - lowest]

    def normalized(self, pixels: UInt8[np.ndarray, "rows w c"]) -> Float32[Tensor, "1 c rows x"]:
        """The same for the network, with the margin at the sides."""
        margin = self.network.margin
        images = torch.from_numpy(pixels).to(self.device).permute(2, 0, 1)[None].float()
        return pad_reflect(self.network.normalization.apply(images), [(0, 0), (margin, margin)])

    def whole(self, image: UInt8[np.ndarray, "h w c"]) -> Float32[Tensor, "1 c y x"]:
        """All of an image that is in memory, for the network."""
        images = self.normalized(self.pixels(lambda start, stop: image[start:stop], 0, self.padded[0]))
        return images.contiguous(memory_format=torch.channels_last)
