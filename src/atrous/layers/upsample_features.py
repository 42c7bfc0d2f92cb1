"""Features of a coarse stage brought onto the cells of a finer one, so that both lie where they were seen."""

from fractions import Fraction

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from atrous.errors import ConfigError
from atrous.layers.rescale import rescale


def upsample_features(
    features: Float[Tensor, "b c y x"], like: Float[Tensor, "b _k h w"], *, factor: int, shift: float
) -> Float[Tensor, "b c h w"]:
    """Linear interpolation onto the grid of `like`: fine cell s reads coarse cell (s + shift) / factor.

    By torch's own operators, whose geometry the spatial graph knows: what is joined here is centered on the
    same pixels, and streams.

    Args:
        features: Of the coarse stage, ceil(h / factor) x ceil(w / factor) cells.
        like: Features of the fine stage, for their size.
        factor: Fine cells a coarse one.
        shift: (center of the fine stage - center of the coarse one) / stride of the fine stage: 0 for a
            ResNet, whose stages are all centered on pixel 0; -(factor - 1) / 2 where pools join cells (VGG).

    Raises:
        ConfigError: If the shift is neither.
    """
    if shift == 0:
        fine = rescale(features, Fraction(factor))
    elif shift == -(factor - 1) / 2:
        fine = functional.interpolate(features, scale_factor=factor, mode="bilinear", align_corners=False)
    else:
        raise ConfigError(
            f"a shift of {shift} cells at factor {factor} is not interpolated; give 0 or {-(factor - 1) / 2}"
        )
    return crop_to(fine, *like.shape[2:])


def crop_to(
    features: Float[Tensor, "b c y x"], height: int | torch.SymInt, width: int | torch.SymInt
) -> Float[Tensor, "b c h w"]:
    """The first rows and columns."""
    if isinstance(height, torch.SymInt) or isinstance(width, torch.SymInt):
        # An exported slice asks whether it cuts anything off, and so holds for odd or for even sides only.
        rows = torch.arange(height, device=features.device)  # type: ignore[arg-type]
        columns = torch.arange(width, device=features.device)  # type: ignore[arg-type]
        return features.index_select(-2, rows).index_select(-1, columns)
    return features[..., :height, :width]
