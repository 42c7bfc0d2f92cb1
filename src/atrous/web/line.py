"""Who comes when the network is busy waits in line, and is turned away when the line is full."""

import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from atrous.web.refusals import GoneError, RefusedError

T = TypeVar("T")

CHECK_EVERY = 0.25  # seconds, whether who waits has hung up
USUAL = 1.0  # seconds of a task, before one was measured
PATIENCE = 60  # seconds, the most that anyone is told to wait


@dataclass(frozen=True, slots=True)
class _Task:
    """What is to be done, and where its result goes."""

    work: Callable[[], Any]
    result: Future[Any] = field(default_factory=Future)


class Line:
    """A line before some workers; tasks of those who hang up while they wait are dropped.

    The workers are daemons: at the end of the program nobody waits for a long task.

    Args:
        concurrency: Workers.
        waiting: Tasks at most that wait behind those under way.
    """

    def __init__(self, *, concurrency: int, waiting: int) -> None:
        self.concurrency = concurrency
        self.waiting = waiting
        self.num_done = 0
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._open = 0  # places taken
        self._working = 0
        self._seconds = USUAL  # of a task, lately
        for number in range(concurrency):
            threading.Thread(target=self._serve, name=f"worker {number}", daemon=True).start()

    @property
    def length(self) -> int:
        """Requests that wait or are under way."""
        return self._open

    @property
    def is_working(self) -> bool:
        """Whether a worker is under way with a task."""
        return self._working > 0

    @property
    def retry_after(self) -> int:
        """Seconds after which there should be room."""
        return round(min(max(self._seconds * self._open / self.concurrency, 1), PATIENCE))

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the line, taken before an upload is read, so that few of them are in memory.

        Raises:
            RefusedError: 503 if the line is full.
        """
        with self._lock:
            if self._open >= self.concurrency + self.waiting:
                raise RefusedError(
                    f"{self._open} requests are under way, the most that are taken at once; try again in "
                    f"{self.retry_after} s",
                    status=503,
                    retry_after=self.retry_after,
                )
            self._open += 1
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1

    async def do(self, work: Callable[[], T], *, is_gone: Callable[[], Awaitable[bool]]) -> T:
        """Have a worker do it, and return its result; for who has a place.

        Args:
            work: Called in another thread.
            is_gone: Whether who asked has hung up; asked while the task waits.

        Raises:
            GoneError: If who asked has hung up.
        """
        task = _Task(work)
        self._tasks.put(task)
        result = asyncio.wrap_future(task.result)
        try:
            while not (await asyncio.wait({result}, timeout=CHECK_EVERY))[0]:
                if await is_gone():
                    raise GoneError
            return await result
        finally:
            task.result.cancel()  # only what still waits can be
            result.cancel()

    def _count(self, change: int) -> None:
        with self._lock:
            self._working += change

    def _serve(self) -> None:
        """One task after the other, without end."""
        while True:
            task = self._tasks.get()
            if not task.result.set_running_or_notify_cancel():
                continue
            start = time.perf_counter()
            self._count(1)
            try:
                value = task.work()
            except BaseException as error:  # noqa: BLE001 (handed to the one who waits for the result)
                task.result.set_exception(error)
            else:
                task.result.set_result(value)
            self._count(-1)
            with self._lock:
                self._seconds += 0.3 * (time.perf_counter() - start - self._seconds)
                self.num_done += 1
            del task  # with the image in it, which nobody needs while this waits for the next
