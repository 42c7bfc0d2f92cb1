"""What the workers of a cluster have begun and finished, kept where it outlives each of them."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atrous.data.places import Place
from atrous.errors import DataError
from atrous.inference.cluster import imported
from atrous.inference.work import Part, Work

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

TRIES = 3
"""Of a work whose worker died every time; more would let one image too many for memory hold up all others."""


class Ledger:
    """Lives as a Ray actor in a process of its own."""

    def __init__(self) -> None:
        self.tries: dict[int, int] = {}
        self.errors: dict[int, str] = {}

    def begin(self, number: int) -> int:
        """How often this work was begun before, without coming to an end."""
        before = self.tries.get(number, 0)
        self.tries[number] = before + 1
        return before

    def finish(self, number: int, error: str) -> None:
        """Note that a work is over, and why it failed; empty where it did not."""
        self.errors[number] = error

    def finished(self, numbers: Sequence[int]) -> dict[int, str]:
        """Those works that are over, with their errors."""
        return {number: self.errors[number] for number in numbers if number in self.errors}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A work that is given up after some tries.

    Attributes:
        number: Among all works.
        work: What is done.
        ledger: Ray's handle of a `Ledger`.
    """

    number: int
    work: Work
    ledger: Any

    @property
    def source(self) -> Place:
        """As the work's."""
        return self.work.source

    @property
    def outputs(self) -> tuple[Place, ...]:
        """As the work's."""
        return self.work.outputs

    def read(self) -> Any:
        """As the work's.

        Raises:
            DataError: If it has been tried too often, or cannot be read.
        """
        if imported().get(self.ledger.begin.remote(self.number)) >= TRIES:
            raise DataError(
                f"{self.source} was under way each of the {TRIES} times that a worker died, perhaps for want "
                "of memory; try it again with --resume and fewer --workers"
            )
        return self.work.read()

    def predict(self, predictor: "Predictor", content: Any) -> Generator[Part, None, Any]:
        """As the work's."""
        return (yield from self.work.predict(predictor, content))

    def write(self, result: Any) -> None:
        """As the work's."""
        self.work.write(result)
