"""What a network says about one image: scores on its own grid, and at every pixel what follows from them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

from atrous.data.labels import LabelSet
from atrous.data.quantity import Quantity
from atrous.errors import ConfigError, ShapeError
from atrous.ops.resample import upsample_logits
from atrous.ops.upsample_labels import upsample_labels

Zoom = tuple[float, float]
AS_IT_IS: Zoom = (1.0, 1.0)


def grid_of(stride: float, center: float, zoom: Zoom) -> tuple[tuple[float, float], tuple[float, float]]:
    """Strides and centers along both axes, of cells that see an image whose pixels are so many of ours."""
    y, x = zoom
    return (stride * y, stride * x), ((center + 0.5) * y - 0.5, (center + 0.5) * x - 0.5)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network says about one image.

    Attributes:
        image: RGB, 0-255, (h, w, 3), (h, w, 6) of a pair; or the intensities of a volume (x, y, z); or the
            samples of a sound (t,).
        scores: Before the softmax, on the grid that `stride` and `center` describe, (k, y, x): the network's
            own cells, or a value a pixel where several views were averaged, or a CRF or the released protocol
            was applied. Of averaged views and of the released protocol they are the log of the probabilities;
            -inf where one is 0.
        label_set: Names and colors of the k classes; names of the channels of a quantity.
        stride: Pixels from one score to the next.
        center: Pixel on which the first score is centered.
        quantity: What a regression measures; None where there are classes.
        zoom: Pixels of the image, along both axes, to one that the network saw, of which stride and center
            are; 1 where it saw the image as it is.
    """

    image: UInt8[np.ndarray, "h w c"] | Float32[np.ndarray, "*places"]
    scores: Float[Tensor, "k *cells"]
    label_set: LabelSet
    stride: int = 1
    center: float = 0.0
    quantity: Quantity | None = None
    zoom: Zoom = AS_IT_IS

    @property
    def logits(self) -> Float[Tensor, "k *pixels"]:
        """Scores at every pixel (k, h, w), or voxel; computed anew each time, since they are many."""
        if self._is_full:
            return self.scores
        size = self.image.shape[: self.scores.ndim - 1]
        if self.zoom == AS_IT_IS:
            return upsample_logits(self.scores[None], size, stride=self.stride, center=self.center)[0]
        stride, center = self.grid
        return upsample_logits(self.scores[None], size, stride=stride, center=center)[0]

    @property
    def values(self) -> Float32[np.ndarray, "k *pixels"]:
        """What a regression measures at every pixel, in the unit of its quantity.

        The network's outputs are interpolated; where they are logarithms, their exponential is taken after.

        Raises:
            ConfigError: If the network gives classes.
        """
        if self.quantity is None:
            raise ConfigError("the network gives classes and measures nothing; take label_map or logits")
        outputs = self.logits.float()
        return (outputs.exp() if self.quantity.is_log else outputs).cpu().numpy()

    @property
    def label_map(self) -> Int64[np.ndarray, "*pixels"]:
        """Number of the most probable class at every pixel, the first of equals.

        Raises:
            ConfigError: If the network measures a quantity.
        """
        self._refuse_quantity()
        if self._is_full:
            return self.scores.argmax(0).cpu().numpy()
        if self.scores.ndim != 3:
            return self.logits.argmax(0).cpu().numpy()
        size = self.image.shape[:2]
        stride, center = self.grid
        return upsample_labels(self.scores, size, stride=stride, center=center).astype(np.int64)

    @property
    def grid(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Strides and centers of the scores of an image, in its pixels along both axes."""
        return grid_of(self.stride, self.center, self.zoom)

    @property
    def _is_full(self) -> bool:
        return self.stride == 1 and self.center == 0 and self.zoom == AS_IT_IS

    def probabilities(self) -> Float32[np.ndarray, "k *pixels"]:
        """Probability of each class at every pixel; they sum to 1 over k.

        Raises:
            ConfigError: If the network measures a quantity.
        """
        self._refuse_quantity()
        return self.logits.float().softmax(0).cpu().numpy()

    def _refuse_quantity(self) -> None:
        if self.quantity is not None:
            raise ConfigError(f"the network measures {self.quantity.kind} and gives no classes; take values")

    def overlay(self, *, opacity: float = 0.5) -> UInt8[np.ndarray, "h w 3"]:
        """The image under the colors of its labels.

        Raises:
            ShapeError: If it is a volume, of which only slices can be drawn.
        """
        if self.scores.ndim != 3:
            raise ShapeError(
                "a volume or a sound has no overlay; draw one of a slice by atrous.figures.overlay"
            )
        from atrous.figures.overlay import overlay

        return overlay(self.image, self.label_map, self.label_set.palette, opacity=opacity)
