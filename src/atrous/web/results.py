"""Results of the page in memory, few and for a while: by an id that nobody guesses, the oldest go first."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from atrous.web.labeler import Labeled
from atrous.web.refusals import RefusedError

PER_SESSION = 3
"""Results that one open page may have; it shows the last."""


@dataclass(slots=True)
class _Kept:
    session: str
    labeled: Labeled
    seen: float


class Results:
    """What pages may still ask about; safe to use from several threads.

    Args:
        max_bytes: Of all results together; the newest is kept even if it alone takes more.
        seconds: After which one that nobody asks about is forgotten.
        clock: Seconds that only grow.
    """

    def __init__(
        self, *, max_bytes: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.max_bytes = max_bytes
        self.seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # least recently seen first

    def __len__(self) -> int:
        """Results that are kept."""
        return len(self._kept)

    @property
    def num_bytes(self) -> int:
        """What they take in memory."""
        return sum(kept.labeled.num_bytes for kept in list(self._kept.values()))

    def keep(self, session: str, labeled: Labeled) -> str:
        """Keep a result of an open page; returns its id."""
        identity = secrets.token_urlsafe(16)
        with self._lock:
            own = [key for key, kept in self._kept.items() if kept.session == session]
            for key in own[: max(len(own) - PER_SESSION + 1, 0)]:
                del self._kept[key]
            self._kept[identity] = _Kept(session, labeled, self._clock())
            self._make_room()
        return identity

    def find(self, identity: str) -> Labeled:
        """The result of that id.

        Raises:
            RefusedError: 404 if it is forgotten.
        """
        with self._lock:
            self._expire()
            kept = self._kept.get(identity)
            if kept is None:
                raise RefusedError(
                    "this image is no longer in the server's memory, where it stays for "
                    f"{self.seconds / 60:.3g} minutes at most; label it again",
                    status=404,
                )
            kept.seen = self._clock()
            self._kept.move_to_end(identity)
            return kept.labeled

    def change(self, identity: str, labeled: Labeled) -> None:
        """Put another result in the place of one, if it is still there."""
        with self._lock:
            if identity in self._kept:
                self._kept[identity].labeled = labeled
                self._make_room()

    def forget(self, session: str) -> None:
        """Drop all results of a page that was closed."""
        with self._lock:
            for key in [key for key, kept in self._kept.items() if kept.session == session]:
                del self._kept[key]

    def expire(self) -> None:
        """Drop what nobody asked about for too long."""
        with self._lock:
            self._expire()

    def _expire(self) -> None:
        oldest = self._clock() - self.seconds
        for key in [key for key, kept in self._kept.items() if kept.seen < oldest]:
            del self._kept[key]

    def _make_room(self) -> None:
        while len(self._kept) > 1 and self.num_bytes > self.max_bytes:
            self._kept.popitem(last=False)
