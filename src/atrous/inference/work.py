"""One thing to predict, in three steps that overlap with those of others: read, predict, write."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from atrous.data.places import Place
from atrous.errors import DataError, ShapeError

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

BAD_INPUT = (DataError, ShapeError)
"""Errors of one input, after which the others go on; any other error ends the run."""


@dataclass(frozen=True, slots=True)
class Part:
    """How much of a large work is done, in its own units: rows of a raster, slices of a volume.

    Attributes:
        source: The work's.
        done: Units.
        total: Units in all.
        is_kept: Whether another run goes on from here.
    """

    source: Place
    done: int
    total: int
    is_kept: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a work: its number among all, and why it failed; empty where it did not."""

    number: int
    error: str = ""


@runtime_checkable
class Work(Protocol):
    """An image, raster or volume and what becomes of it; it can be pickled.

    `read` and `write` run in threads beside the network; what passes between the steps is the work's own
    affair. A work too large for memory reads nothing ahead.
    """

    @property
    def source(self) -> Place:
        """What is read; names the work in messages."""
        ...

    @property
    def outputs(self) -> tuple[Place, ...]:
        """What is written; the first tells that the work is done."""
        ...

    def read(self) -> Any:
        """Decode the input.

        Raises:
            DataError: If it cannot be read.
        """
        ...

    def predict(self, predictor: "Predictor", content: Any) -> Generator[Part, None, Any]:
        """Ask the network about what `read` gave; a large work yields how far it is.

        Closed before its end, it keeps what it has and can go on in another run.

        Raises:
            DataError: If the input cannot be read, or not be predicted as asked.
            ShapeError: If the network cannot take the input.
        """
        ...

    def write(self, result: Any) -> None:
        """Write what `predict` gave, whole or not at all, and last what tells that the work is done.

        Raises:
            OutputError: If it cannot be written.
        """
        ...
