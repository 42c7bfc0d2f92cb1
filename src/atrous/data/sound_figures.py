"""Figures of a split of sounds, as `check` shows them."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SoundSplit:
    """Figures of the sounds of a split that were read.

    Attributes:
        name: Of the split.
        num_samples: Sounds that it has.
        num_read: Sounds that could be read; all figures are of these.
        seconds: Of the shortest, the median and the longest.
        sample_rate: Hz, that of the first.
        conditions: By name.
    """

    name: str
    num_samples: int
    num_read: int
    seconds: tuple[float, float, float]
    sample_rate: int
    conditions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    def to_line(self) -> str:
        """The same in words."""
        shortest, median, longest = self.seconds
        few = ", ".join(self.conditions[:10]) + (", ..." if len(self.conditions) > 10 else "")
        return (
            f"{self.name}: sounds: {self.num_samples}, {self.num_read} read, {self.sample_rate} Hz, "
            f"{shortest:.3g} to {longest:.3g} s, median {median:.3g} s; "
            + (f"conditions: {few} ({len(self.conditions)})" if self.conditions else "no conditions")
        )
