"""Files that appear whole or not at all."""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from safetensors import SafetensorError

from atrous.errors import OutputError

_TEMPORARY = re.compile(r"\.(?P<name>.+(?P<ending>\.[^.]+))\.\w{8}(?P=ending)")  # as mkstemp and we name them


def can_be_a_file(name: str) -> bool:
    """Whether the system can be asked for a path that a file names: not if it is too long or holds a 0."""
    parts = Path(name).parts
    return "\0" not in name and len(name) < 4096 and all(len(os.fsencode(part)) < 256 for part in parts)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    except (OSError, SafetensorError) as error:  # the latter is how safetensors says that the disk is full
        raise OutputError(f"cannot write {path} ({error}); what was there before is untouched") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove the temporary files of processes that were killed while they wrote any of these files.

    Raises:
        OutputError: If one cannot be removed.
    """
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(path.name)
    for folder, wanted in names.items():
        for found in folder.glob(".*"):
            made = _TEMPORARY.fullmatch(found.name)
            if made and made["name"] in wanted:
                try:
                    found.unlink(missing_ok=True)
                except OSError as error:
                    raise OutputError(f"cannot remove {found} ({error}); remove it by hand") from error


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Nothing, if a file may be written there.

    Raises:
        OutputError: If something is there and may not be overwritten.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} is there already; add --overwrite or choose another --output")


def refuse_unwritable(path: Path) -> None:
    """Nothing, if a file can be written there; its folder is made. For what takes long to compute.

    Raises:
        OutputError: If it cannot.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder; choose another --output")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(f"cannot write {path} ({error}); choose another --output") from error


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically.

    Raises:
        OutputError: If the file cannot be written.
    """
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
