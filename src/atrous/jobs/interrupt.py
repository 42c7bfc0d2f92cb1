"""Ctrl-C and SIGTERM as a wish that a job grants between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Wish:
    """Whether somebody asked the job to stop.

    Attributes:
        signal: Number of the signal that asked; 0 while nobody did.
    """

    signal: int = 0

    @property
    def stop(self) -> bool:
        """Whether to stop at the next opportunity."""
        return self.signal != 0


@contextmanager
def listen() -> Iterator[Wish]:
    """Turn the first Ctrl-C or SIGTERM into a wish; a Ctrl-C after it interrupts at once.

    Outside the main thread, where Python delivers no signals, nothing changes.
    """
    wish = Wish()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if wish.stop and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        wish.signal = wish.signal or number

    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    earlier = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
