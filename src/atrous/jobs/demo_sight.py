"""What one answer of a network hangs on: the gradient of a logit with respect to every pixel."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32

from atrous.inference.predictor import Picture, Predictor


@dataclass(frozen=True, slots=True)
class Sight:
    """What a network sees from one cell of its logits.

    Attributes:
        center: Row and column of the image that the cell is centered on; pixel 0 covers 0 to 1.
        gradient: Sum over colors of the size of the logit's gradient at every pixel (h, w).
    """

    center: tuple[float, float]
    gradient: Float32[np.ndarray, "h w"]

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width in pixels of the smallest rectangle that holds all of it; 0 0 if there is none."""
        found = self.gradient > 0
        if not found.any():
            return 0, 0
        height, width = (np.ptp(np.flatnonzero(found.any(axis))) + 1 for axis in (1, 0))
        return int(height), int(width)

    def strength(self) -> Float32[np.ndarray, "h w"]:
        """The gradient from 0 to 1 for a picture; its root, so that weak parts show."""
        largest = np.quantile(self.gradient[self.gradient > 0], 0.99) if self.gradient.any() else 1.0
        return np.sqrt(np.clip(self.gradient / largest, 0, 1)).astype(np.float32)


def look(predictor: Predictor, image: Picture, *, place: tuple[float, float], label: int) -> Sight:
    """What the logit of a label hangs on in the cell nearest to a place.

    Args:
        predictor: Of a same-padded network.
        image: RGB (h, w, 3) uint8.
        place: Row and column in pixels.
        label: Whose logit.
    """
    network = predictor.network.eval()
    stride, center = network.geometry.output_stride, network.geometry.center
    row, column = (round((value - center) / stride) for value in place)
    pixels = torch.from_numpy(np.ascontiguousarray(image)).to(predictor.device).permute(2, 0, 1)[None]
    images = network.normalization.apply(pixels.float()).requires_grad_()
    logit = network(images)[0, label, row, column]
    (gradient,) = torch.autograd.grad(logit, images)
    return Sight(
        (row * stride + center + 0.5, column * stride + center + 0.5),
        gradient[0].abs().sum(0).float().cpu().numpy(),
    )
