"""Files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from atrous.errors import OutputError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a temporary file beside `path`, then move it there in one step.

    Raises:
        OutputError: If the disk is full or the place cannot be written; what was at `path` stays.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path} ({error}); what was there before is untouched") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Nothing, if a file may be written there.

    Raises:
        OutputError: If something is there and may not be overwritten.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} is there already; add --overwrite or choose another --output")


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically.

    Raises:
        OutputError: If the file cannot be written.
    """
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
