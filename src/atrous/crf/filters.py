"""What mean field needs of a Gaussian filter, its four normalizations, and the filter by its definition."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from atrous.errors import ConfigError, ShapeError

Normalization = Literal["symmetric", "before", "after", "none"]
ALL = slice(None)
MOST_PIXELS = 1 << 14  # of the exact filter: 1 GiB a kernel in float32


@runtime_checkable
class Filter(Protocol):
    """The kernels K of one image, ready for values of its n pixels as often as wanted.

    Slice after splat is the sum over kernels of weight * K @ values, where a pixel's own value has a part.
    """

    def splat(
        self, values: Float[Tensor, "n k"], *, weights: Float[Tensor, "kernels *classes"]
    ) -> Float[Tensor, "m k"]:
        """Weighted sums from which those of all pixels can be sliced, with gradients to both arguments.

        Args:
            values: One row a pixel.
            weights: One number a kernel, or one a kernel and class.
        """
        ...

    def slice(
        self, splatted: Float[Tensor, "m k"], *, base: Float[Tensor, "p k"] | None = None, pixels: slice = ALL
    ) -> Float[Tensor, "p k"]:
        """The base (or nothing) plus the sums of some pixels; gradients reach both if all are asked for."""
        ...


def exponents(normalization: Normalization) -> tuple[float, float]:
    """Powers of D = diag(W 1) by which the bare filter W is multiplied, from the right (before) and the left.

    Symmetric is D^-1/2 W D^-1/2, the default of Krähenbühl & Koltun's implementation.

    Raises:
        ConfigError: If there is no such normalization.
    """
    known = {"symmetric": (-0.5, -0.5), "before": (-1.0, 0.0), "after": (0.0, -1.0), "none": (0.0, 0.0)}
    if normalization not in known:
        raise ConfigError(f"normalization {normalization!r} is none of {', '.join(known)}; give one of them")
    return known[normalization]


@dataclass(frozen=True, slots=True, eq=False)
class ExactFilter:
    """All pairs of pixels, by the definition: O(n^2) in time and memory, the truth for small images.

    Attributes:
        matrix: The normalized kernels side by side, without their weights.
    """

    matrix: Float[Tensor, "n m"]

    def splat(
        self, values: Float[Tensor, "n k"], *, weights: Float[Tensor, "kernels *classes"]
    ) -> Float[Tensor, "m k"]:
        """As `Filter.splat`; the values themselves, once for each kernel."""
        return torch.cat([values * weight for weight in weights])

    def slice(
        self, splatted: Float[Tensor, "m k"], *, base: Float[Tensor, "p k"] | None = None, pixels: slice = ALL
    ) -> Float[Tensor, "p k"]:
        """As `Filter.slice`."""
        sums = self.matrix[pixels] @ splatted
        return sums if base is None else base + sums


def build_exact(features: Sequence[Float[Tensor, "_ n"]], *, normalization: Normalization) -> ExactFilter:
    """The exact filter of each set of features.

    Raises:
        ShapeError: If there are too many pixels, or features are not finite.
        ConfigError: If there is no such normalization.
    """
    num_pixels = features[0].shape[1]
    if num_pixels > MOST_PIXELS:
        raise ShapeError(f"{num_pixels} pixels make too many pairs; use build_lattice above {MOST_PIXELS}")
    kernels = []
    for points in features:
        check_finite(points)
        squares = torch.zeros(num_pixels, num_pixels, dtype=points.dtype, device=points.device)
        for axis in points:  # not cdist, which subtracts squares far larger than the distance
            squares += (axis[:, None] - axis).square()
        kernel = torch.exp(-squares / 2)
        before, after = (kernel.sum(1) ** exponent for exponent in exponents(normalization))
        kernels.append(after[:, None] * kernel * before)
    return ExactFilter(torch.cat(kernels, 1))


def check_finite(points: Float[Tensor, "f n"]) -> float:
    """The largest magnitude of features.

    Raises:
        ShapeError: If one is infinite or NaN.
    """
    largest = points.abs().max()
    if not largest.isfinite():
        raise ShapeError(
            "features are not all finite; mend the images, take larger bandwidths, or mend the features of a "
            "Gaussian kernel"
        )
    return largest.item()
