"""Reflection at any distance beyond the border: the one place that knows how an image goes on outside itself.

The border pixel is not repeated (OpenCV's REFLECT_101), as in Yu & Koltun's released prediction scripts.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from atrous.errors import ShapeError
from atrous.ops.length import Length


def reflected_index(start: int, stop: int, size: int) -> Int64[np.ndarray, " n"]:
    """Where the positions start..stop-1 of an endlessly reflected axis lie in the axis itself.

    Reads a window that reaches beyond an image, on either side and by more than its size:
    `image[reflected_index(top, top + height, len(image))]`.

    >>> reflected_index(-3, 7, 4).tolist()
    [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]

    Args:
        start: First position, in pixels; negative before the border.
        stop: One past the last position, in pixels.
        size: Length of the axis, in pixels; an axis of one pixel repeats that pixel.

    Raises:
        ShapeError: If the axis is empty.
    """
    _refuse_empty(size)
    return _fold(torch.arange(start, stop), size).numpy()


def pad_reflect(
    images: Shaped[Tensor, "b c *spatial"], padding: Sequence[tuple[int, int]]
) -> Shaped[Tensor, "b c *padded"]:
    """Images made larger on every side by reflection, also where the padding is wider than the image.

    Values are copied, so any dtype works, labels included, and the gradient flows back to every copy.

    Args:
        images: Any number of spatial axes after batch and channels.
        padding: Pixels (before, after) for each spatial axis, in the order of the axes.

    Raises:
        ShapeError: If the number of pairs is not the number of spatial axes, a padding is negative, or an
            axis that is padded is empty.
    """
    if len(padding) != images.ndim - 2:
        raise ShapeError(
            f"{len(padding)} paddings for {images.ndim - 2} spatial axes; give one (before, after) an axis"
        )
    padded = images
    for axis, (before, after) in enumerate(padding, start=2):
        if before < 0 or after < 0:
            raise ShapeError(f"padding {(before, after)} is negative; reflection only adds, slice to crop")
        if before == after == 0:
            continue
        size = images.shape[axis]
        _refuse_empty(size)
        positions = torch.arange(-before, size + after, device=images.device)
        padded = padded.index_select(axis, _fold(positions, size))
    return padded


def _fold(positions: Int64[Tensor, " n"], size: Length) -> Int64[Tensor, " n"]:
    """Triangle wave of period 2 (size - 1): 0 up to size - 1 and down again."""
    last = size - 1
    period = positions.new_full((), 2 * last).clamp(min=1)  # as a tensor: few runtimes divide by a size
    return last - (positions % period - last).abs()


def _refuse_empty(size: Length) -> None:
    if size < 1:
        raise ShapeError(f"an axis of size {size} has nothing to reflect; give at least one pixel")
