"""Figures of a split of measured values, as `check` shows them."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class MeasuredSplit:
    """Figures of the samples of a split of measured values that were read.

    Attributes:
        name: Of the split.
        num_samples: That it has.
        num_read: That could be read; all figures are of these.
        measured_share: Of all pixels, in [0, 1].
        lowest: Of all depths or lengths of motion, in the unit.
        median: The median over samples of their medians.
        highest: Of all.
        unit: Of the values.
    """

    name: str
    num_samples: int
    num_read: int
    measured_share: float
    lowest: float
    median: float
    highest: float
    unit: str

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    def to_line(self) -> str:
        """The same in words."""
        return (
            f"{self.name}: {self.num_samples} samples, {self.num_read} read, {self.measured_share:.1%} of "
            f"the pixels measured, {self.lowest:.4g} to {self.highest:.4g} {self.unit}, "
            f"median {self.median:.4g}"
        )
