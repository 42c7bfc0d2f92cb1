"""One thing to predict, in three steps that overlap with those of others: read, predict, write."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from atrous.data.places import Place
from atrous.errors import DataError, ShapeError

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

BAD_INPUT = (DataError, ShapeError)
"""Errors of one input, after which the others go on; any other error ends the run."""


@runtime_checkable
class Work(Protocol):
    """An image, raster or volume and what becomes of it; it can be pickled.

    `read` and `write` run in threads beside the network; what passes between the steps is the work's own
    affair. A work too large for memory reads nothing ahead, and does all in `predict` but the last renaming.
    """

    @property
    def source(self) -> Place:
        """What is read; names the work in messages."""
        ...

    @property
    def outputs(self) -> tuple[Place, ...]:
        """What is written."""
        ...

    def read(self) -> Any:
        """Decode the input.

        Raises:
            DataError: If it cannot be read.
        """
        ...

    def predict(self, predictor: "Predictor", content: Any) -> Any:
        """Ask the network about what `read` gave.

        Raises:
            ShapeError: If the network cannot take the input.
        """
        ...

    def write(self, result: Any) -> None:
        """Write what `predict` gave, whole or not at all, and last what tells that the work is done.

        Raises:
            OutputError: If it cannot be written.
        """
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a work: its number among all, and why it failed; empty where it did not."""

    number: int
    error: str = ""
