"""Textures of built-in scenes as functions of real coordinates: sums of waves, the same wherever asked."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32


@dataclass(frozen=True, slots=True, eq=False)
class Waves:
    """A sum of plane waves; smooth, so it can be sampled between pixels and nothing is interpolated.

    Attributes:
        frequencies: Of each wave along both coordinates, in radians a unit.
        phases: Of each, in radians.
        strengths: Of each.
    """

    frequencies: Float[np.ndarray, "n 2"]
    phases: Float[np.ndarray, " n"]
    strengths: Float[np.ndarray, " n"]

    def __call__(
        self, y: Float[np.ndarray, "_ _"], x: Float[np.ndarray, "_ _"], *, blur: np.ndarray | float = 0.0
    ) -> Float32[np.ndarray, "h w"]:
        """Values at the coordinates, of unit variance, seen through a Gaussian of that standard deviation.

        Waves much shorter than the Gaussian is wide vanish, as they do in a camera's pixel. The three are
        broadcast to one shape.
        """
        y, x = np.asarray(y, np.float32), np.asarray(x, np.float32)
        total = np.zeros(np.broadcast_shapes(y.shape, x.shape, np.shape(blur)), np.float32)
        for (along_y, along_x), phase, strength in zip(
            self.frequencies, self.phases, self.strengths, strict=True
        ):
            seen = np.float32(strength * np.exp(-0.5 * (along_y**2 + along_x**2) * np.square(blur)))
            total += seen * np.sin(along_y * y + (along_x * x + phase))
        return total


def random_waves(generator: np.random.Generator, *, shortest: float, longest: float, number: int) -> Waves:
    """Waves in all directions, their lengths drawn log-uniformly, in units of the coordinates."""
    lengths = np.exp(generator.uniform(np.log(shortest), np.log(longest), number))
    turns = generator.uniform(0, 2 * np.pi, number)
    directions = np.stack([np.sin(turns), np.cos(turns)], axis=1)
    phases = generator.uniform(0, 2 * np.pi, number)
    frequencies = 2 * np.pi / lengths[:, None] * directions
    strengths = np.full(number, np.sqrt(2 / number))
    return Waves(*(part.astype(np.float32) for part in (frequencies, phases, strengths)))
