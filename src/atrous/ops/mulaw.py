"""Mu-law companding: sound in few levels that are finest where it is soft (ITU-T G.711, continuous form)."""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from atrous.errors import ConfigError
from atrous.ops.levels import LEVELS


def mulaw_encode(samples: Float[Tensor, "*shape"], *, levels: int = LEVELS) -> Int64[Tensor, "*shape"]:
    """Code (0 .. levels - 1) of every sample; silence is levels // 2.

    f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu) with mu = levels - 1, rounded to the nearest of `levels` values
    from -1 to 1. Samples beyond -1 .. 1 are clipped.

    >>> mulaw_encode(torch.tensor([-1.0, -0.01, 0.0, 0.01, 1.0])).tolist()
    [0, 98, 128, 157, 255]

    Args:
        samples: From -1 to 1, finite.
        levels: Number of codes.

    Raises:
        ConfigError: If there are fewer than 2 levels.
    """
    mu = _mu(levels)
    clipped = samples.clamp(-1, 1)
    companded = clipped.sign() * (mu * clipped.abs()).log1p() / math.log1p(mu)
    return ((companded + 1) / 2 * mu + 0.5).floor().long()


def mulaw_decode(codes: Int64[Tensor, "*shape"], *, levels: int = LEVELS) -> Float[Tensor, "*shape"]:
    """The sample (float32, -1 to 1) that a code stands for; `mulaw_encode` gives the code back.

    Args:
        codes: 0 to levels - 1.
        levels: Number of codes.

    Raises:
        ConfigError: If there are fewer than 2 levels.
    """
    mu = _mu(levels)
    companded = 2 * codes.double() / mu - 1
    samples = companded.sign() * torch.expm1(companded.abs() * math.log1p(mu)) / mu
    return samples.float()


def _mu(levels: int) -> int:
    if levels < 2:
        raise ConfigError(f"{levels} levels hold no sound; give at least 2, or 256 as published")
    return levels - 1
