"""What a running job says; the command line draws it, a notebook or page can too."""

import os
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a job.

    Attributes:
        done: Units done in this part.
        total: Units this part has; 0 where nobody knows.
        part: What is being done, in a few words; a new name starts a new bar.
        values: Figures worth showing, formatted.
        message: A line to keep, or nothing.
    """

    done: int
    total: int
    part: str
    values: dict[str, str] = field(default_factory=dict)
    message: str = ""


Job = Generator[Progress, None, T]


def drain(job: Job[T]) -> T:
    """Run a job to its end and return its result."""
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return stop.value


def is_first_process() -> bool:
    """Whether this process is alone, or the first of those that `torchrun` started."""
    return os.environ.get("RANK", "0") == "0"
