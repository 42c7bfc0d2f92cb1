"""Linear interpolation by a fraction, around pixel 0, with the same numbers at any size."""

from fractions import Fraction

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def rescale(features: Float[Tensor, "b c y x"], factor: Fraction) -> Float[Tensor, "b c h w"]:
    """Features that lie 1 / factor cells apart: cell s reads cell s / factor.

    By torch's own operator, whose geometry the spatial graph knows. The last cells repeat until the corners
    of both grids coincide, so that nothing depends on the size; the cells that made are to be cropped.

    Args:
        features: Of any size.
        factor: Cells made a cell, above 0.
    """
    made, read = factor.numerator, factor.denominator
    periods = [(side - 1) // read + 1 for side in features.shape[2:]]
    down, right = (read * count + 1 - side for count, side in zip(periods, features.shape[2:], strict=True))
    wider = functional.pad(features, (0, right, 0, down), mode="replicate")
    size = [made * count + 1 for count in periods]
    return functional.interpolate(wider, size, mode="bilinear", align_corners=True)
