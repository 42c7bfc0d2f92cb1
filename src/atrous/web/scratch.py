"""A folder of this process for what libraries put on disk: gone at the end, or at the next start."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "atrous-serve-"
_LOCK = "lock"  # held as long as the server lives; unlike its number, it cannot be another process's later


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder that only this user reads; `TMPDIR` and gradio's files are there while it lasts.

    Those of servers that were killed are removed first.
    """
    top = Path(tempfile.gettempdir())
    remove_dead(top)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=top))
    names = ("TMPDIR", "GRADIO_TEMP_DIR")
    before = {name: os.environ.get(name) for name in names}
    was = tempfile.tempdir
    os.environ.update(TMPDIR=str(folder), GRADIO_TEMP_DIR=str(folder / "gradio"))
    tempfile.tempdir = str(folder)
    try:
        with (folder / _LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        tempfile.tempdir = was
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


def remove_dead(top: Path) -> None:
    """Remove the folders of servers that are no more: nobody holds their lock."""
    for folder in top.glob(f"{_PREFIX}*"):
        try:
            with (folder / _LOCK).open("rb+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # alive, another user's, or just being made or removed
            continue
