"""Works through one predictor, the next ones being read and the last ones written meanwhile.

Threads, not processes: Pillow, zlib and numpy release the interpreter's lock, and so does torch.
"""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from atrous.inference.work import BAD_INPUT, Outcome, Part, Work

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

AHEAD, BEHIND = 2, 2  # works in memory before and after the one that the network sees


def predict_works(works: Iterable[Work], predictor: "Predictor") -> Generator[Outcome | Part, None, None]:
    """Read, predict and write each work; yields what became of each, in order, and parts of large ones.

    The network runs in the caller's thread. Works are taken as they are needed: when they end, what was begun
    is finished.

    Args:
        works: In the order of their outcomes.
        predictor: Asked about one work at a time.

    Raises:
        OutputError: If a result cannot be written; the works before it are written, and a few after it may
            be.
    """
    waiting, number = iter(works), 0
    reading: deque[tuple[Work, Future[Any]]] = deque()
    writing: deque[Future[None]] = deque()
    with ThreadPoolExecutor(AHEAD) as readers, ThreadPoolExecutor(BEHIND) as writers:
        try:
            while True:
                for work in islice(waiting, AHEAD + 1 - len(reading)):
                    reading.append((work, readers.submit(work.read)))
                if not reading:
                    break
                writing.append((yield from _predict(*reading.popleft(), predictor, writers)))
                if len(writing) > BEHIND:
                    yield _outcome(number, writing.popleft())
                    number += 1
            while writing:
                yield _outcome(number, writing.popleft())
                number += 1
        finally:
            readers.shutdown(wait=False, cancel_futures=True)


def _predict(
    work: Work, content: Future[Any], predictor: "Predictor", writers: ThreadPoolExecutor
) -> Generator[Part, None, Future[None]]:
    """The writing of a work, under way; or the error of a bad input."""
    try:
        result = yield from work.predict(predictor, content.result())
    except BAD_INPUT as error:
        failed: Future[None] = Future()
        failed.set_exception(error)
        return failed
    return writers.submit(work.write, result)


def _outcome(number: int, written: Future[None]) -> Outcome:
    try:
        written.result()
    except BAD_INPUT as error:
        return Outcome(number, " ".join(str(error).splitlines()))  # names of files may hold line ends
    return Outcome(number)
