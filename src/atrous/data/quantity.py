"""What a regression measures at every pixel: the depth of what is seen there, or its motion."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from atrous.data.labels import LabelSet
from atrous.errors import CheckpointError

Kind = Literal["depth", "flow"]
Values = Float32[np.ndarray, "k h w"]
"""Measured values; a pixel that has none is NaN in all channels."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is measured, in which unit, and how a network says it.

    Attributes:
        kind: depth, or flow: where a pixel of a first image lies in a second one, less where it lies.
        unit: Of all channels.
        channels: Names of the values of a pixel; (u, v) of flow are to the right and down.
        is_log: Whether networks give the logarithm, so that what they mean is positive.
        num_images: Images that a network sees at once, three channels each.
    """

    kind: Kind
    unit: str
    channels: tuple[str, ...]
    is_log: bool
    num_images: int = 1

    @property
    def label_set(self) -> LabelSet:
        """The channels by name, as which they stand where classes do: one output of a network each."""
        return LabelSet(self.channels)

    @property
    def num_outputs(self) -> int:
        """Outputs of a network that gives them: one a channel."""
        return len(self.channels)

    @property
    def in_channels(self) -> int:
        """Channels of what a network sees."""
        return 3 * self.num_images

    def cleaned(self, values: Values) -> Values:
        """The values with NaN in all channels where one is not finite, or not positive as it must be."""
        valid = np.isfinite(values).all(0)
        if self.is_log:
            with np.errstate(invalid="ignore"):
                valid &= (values > 0).all(0)
        return np.where(valid, values, np.float32(np.nan)).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, in the place of a label set."""
        return {**self.label_set.to_dict(), "task": "regression", "quantity": asdict(self)}


DEPTH = Quantity("depth", "m", ("depth",), is_log=True)
FLOW = Quantity("flow", "px", ("u", "v"), is_log=False, num_images=2)
QUANTITIES: dict[str, Quantity] = {"depth": DEPTH, "flow": FLOW}


def quantity_of(fields: dict[str, Any]) -> Quantity:
    """The inverse of `Quantity.to_dict`.

    Raises:
        CheckpointError: If it is a quantity that this version does not know.
    """
    stored = fields.get("quantity")
    about: dict[str, Any] = stored if isinstance(stored, dict) else {}
    known = QUANTITIES.get(str(about.get("kind")))
    if known is None or not isinstance(about.get("unit"), str):
        raise CheckpointError(
            f"the network measures {stored}, and this atrous knows {', '.join(QUANTITIES)}; upgrade atrous"
        )
    return replace(known, unit=about["unit"])


@dataclass(frozen=True, slots=True)
class Measured:
    """An image, or two of them one behind the other, and what was measured at its pixels.

    Attributes:
        name: Without a file ending.
        image: RGB, 0-255, of each of the quantity's images.
        values: Of every pixel of the first image.
        quantity: What they are.
    """

    name: str
    image: UInt8[np.ndarray, "h w c"]
    values: Values
    quantity: Quantity


@runtime_checkable
class MeasuredSamples(Protocol):
    """A split of a data set of measured values; safe to read from several threads."""

    @property
    def quantity(self) -> Quantity:
        """What was measured."""
        ...

    @property
    def label_set(self) -> LabelSet:
        """That of the quantity."""
        ...

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, index: int) -> Measured:
        """The sample of that number, 0-based."""
        ...
