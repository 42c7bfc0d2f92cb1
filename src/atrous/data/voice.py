"""What a generator of sound speaks: at which rate, and on which conditions."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from atrous.data.labels import LabelSet
from atrous.errors import CheckpointError, DataError
from atrous.ops.levels import LEVELS

TASK = "generation"


@dataclass(frozen=True, slots=True)
class Recording:
    """One sound to learn from.

    Attributes:
        name: Of its file, without the ending.
        samples: From -1 to 1.
        condition: Number of its condition; None where there are none.
    """

    name: str
    samples: Float32[np.ndarray, " t"]
    condition: int | None = None


@dataclass(frozen=True, slots=True)
class Voice:
    """What a network generates, and on what.

    Attributes:
        sample_rate: Samples a second, Hz.
        conditions: Names of the classes that it is told, such as words or speakers; may be empty.
        levels: Codes of a sample, of which each is an output of the network.
    """

    sample_rate: int
    conditions: tuple[str, ...] = ()
    levels: int = LEVELS

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or self.levels < 2:
            raise DataError(
                f"{self.sample_rate} Hz and {self.levels} levels are no sound; give positive numbers"
            )

    @property
    def label_set(self) -> LabelSet:
        """The conditions by name, as they stand where classes do."""
        return LabelSet(self.conditions or ("sound",))

    @property
    def num_outputs(self) -> int:
        """Outputs of a network that generates it: one a code."""
        return self.levels

    @property
    def in_channels(self) -> int:
        """Channels of what the network sees: codes, and conditions behind them."""
        return self.levels + len(self.conditions)

    def number_of(self, condition: str) -> int:
        """The number of a condition by its name.

        Raises:
            DataError: If there is none of that name.
        """
        if condition not in self.conditions:
            known = f"known are {', '.join(self.conditions)}" if self.conditions else "the network has none"
            raise DataError(f'no condition "{condition}"; {known}')
        return self.conditions.index(condition)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, in the place of a label set."""
        voice = {"sample_rate": self.sample_rate, "conditions": list(self.conditions), "levels": self.levels}
        return {**self.label_set.to_dict(), "task": TASK, "voice": voice}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Voice":
        """The inverse of `to_dict`.

        Raises:
            CheckpointError: If a field is missing or has another form.
        """
        try:
            stored = fields["voice"]
            names = tuple(str(name) for name in stored["conditions"])
            return cls(int(stored["sample_rate"]), names, int(stored["levels"]))
        except (KeyError, TypeError, ValueError, OverflowError, DataError) as error:
            raise CheckpointError(
                f"a voice has sample_rate, conditions and levels, not {fields.get('voice')}"
            ) from error


@runtime_checkable
class Recordings(Protocol):
    """Sounds to learn from or to be judged by; safe to read from several threads."""

    @property
    def voice(self) -> Voice:
        """At which rate they are, and what their conditions are called."""
        ...

    @property
    def label_set(self) -> LabelSet:
        """That of the voice."""
        ...

    def __len__(self) -> int:
        """Number of sounds."""
        ...

    def __getitem__(self, index: int) -> Recording:
        """The sound of that number, 0-based."""
        ...
