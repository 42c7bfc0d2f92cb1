"""How a network for sound wants its samples: at one rate, as mu-law codes, one channel a code."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from atrous.errors import CheckpointError, ConfigError
from atrous.ops.levels import LEVELS
from atrous.ops.mulaw import mulaw_encode


@dataclass(frozen=True, slots=True)
class Companding:
    """Samples become one-hot mu-law codes; the caller resamples to the rate.

    Attributes:
        sample_rate: Samples a second, Hz.
        levels: Number of codes.
    """

    sample_rate: int = 16_000
    levels: int = LEVELS

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or self.levels < 2:
            raise ConfigError(
                f"a sample rate of {self.sample_rate} Hz and {self.levels} levels hold no sound; give a rate "
                "above 0 and at least 2 levels"
            )

    def apply(self, images: Float[Tensor, "b 1 t"]) -> Float[Tensor, "b levels t"]:
        """Samples from -1 to 1 as the network wants them: 1 in the channel of their code, else 0."""
        codes = mulaw_encode(images[:, 0], levels=self.levels)
        return functional.one_hot(codes, self.levels).movedim(-1, 1).to(images.dtype)

    def before(
        self, codes: Int64[Tensor, "b t"], conditions: Float[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b c t"]:
        """What a generator reads before each of these codes: the one before it, and nothing before the first.

        Args:
            codes: Of the sounds.
            conditions: Of the sounds, the same at every sample; channels behind those of the codes.
        """
        shown = functional.one_hot(codes[:, :-1], self.levels).movedim(-1, 1).float()
        shown = functional.pad(shown, (1, 0))
        if conditions is None:
            return shown
        return torch.cat([shown, conditions[..., None].expand(-1, -1, shown.shape[2])], dim=1)

    def to_dict(self) -> dict[str, Any]:
        """The two fields, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Companding":
        """The inverse of `to_dict`.

        Raises:
            CheckpointError: If a field is missing or has another form.
        """
        try:
            return cls(int(fields["sample_rate"]), int(fields["levels"]))
        except (KeyError, TypeError, ValueError, OverflowError, ConfigError) as error:
            raise CheckpointError(
                f"a companding needs sample_rate and levels, two positive numbers, not {fields}"
            ) from error
