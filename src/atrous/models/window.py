"""How a network for volumes wants its intensities, which have no unit: by what the volume itself holds."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from atrous.errors import CheckpointError, ConfigError


@dataclass(frozen=True, slots=True)
class Window:
    """Each volume is clipped to two of its own percentiles, then shifted and scaled to mean 0, deviation 1.

    Intensities of MR have no unit and a few extreme voxels, so both steps look at the whole volume, never at
    a crop. A volume of one intensity becomes 0.

    Attributes:
        darkest: Percentile (0-100) below which all is alike.
        brightest: Percentile above which all is alike.
    """

    darkest: float = 0.5
    brightest: float = 99.5

    def __post_init__(self) -> None:
        if not 0 <= self.darkest < self.brightest <= 100:
            raise ConfigError(
                f"percentiles {self.darkest} and {self.brightest} make no window; give two of 0-100, the "
                "smaller first"
            )

    def apply(self, images: Float[Tensor, "b c *spatial"]) -> Float[Tensor, "b c *spatial"]:
        """Whole volumes as the network wants them, each by itself; voxels not finite are the darkest.

        The percentiles are intensities that occur, the lower neighbors, as for slices (`data.volumes`).
        """
        done = [self._one(volume) for volume in images.flatten(0, 1).cpu().double().numpy()]
        return torch.from_numpy(np.stack(done)).to(images).view(images.shape)

    def _one(self, values: np.ndarray) -> np.ndarray:
        """One channel of one volume, in double precision, so that no order of sums shows."""
        finite = values[np.isfinite(values)]
        if not finite.size:
            return np.zeros_like(values)
        black, white = np.percentile(finite, (self.darkest, self.brightest), method="lower")
        clipped = np.clip(np.nan_to_num(values, nan=black, posinf=black, neginf=black), black, white)
        deviation = clipped.std()
        return (clipped - clipped.mean()) / deviation if deviation > 0 else np.zeros_like(values)

    def to_dict(self) -> dict[str, Any]:
        """The two fields, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Window":
        """The inverse of `to_dict`.

        Raises:
            CheckpointError: If a field is missing or has another form.
        """
        try:
            darkest, brightest = (float(fields[name]) for name in ("darkest", "brightest"))
            if not (math.isfinite(darkest) and math.isfinite(brightest)):
                raise ValueError(fields)
            return cls(darkest, brightest)
        except (KeyError, TypeError, ValueError, OverflowError, ConfigError) as error:
            raise CheckpointError(
                f"a window needs darkest and brightest, two percentiles, not {fields}"
            ) from error
