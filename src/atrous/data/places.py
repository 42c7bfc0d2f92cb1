"""Where files are read and written: a path, or a URL as a string."""

import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
from jaxtyping import UInt8

from atrous.data import bucket
from atrous.data.images import decode_image, read_image
from atrous.errors import OutputError
from atrous.files import write_text

Place = Path | str
"""A string is a URL."""


def place_of(given: str | Path) -> Place:
    """The place that a user means: a URL stays a string, but a file:// is a path.

    >>> place_of("s3://bucket/photos/"), place_of("photos") == Path("photos")
    ('s3://bucket/photos', True)
    """
    if isinstance(given, Path) or "://" not in given:
        return Path(given)
    if given.startswith("file://"):
        return Path(unquote(urlsplit(given).path))
    return given.rstrip("/")


def join(folder: Place, name: str) -> Place:
    """A file below a folder."""
    return folder / name if isinstance(folder, Path) else f"{folder}/{name}"


def with_ending(stem: Place, ending: str) -> Place:
    """The place with something behind its name."""
    return stem.with_name(stem.name + ending) if isinstance(stem, Path) else stem + ending


def existing(places: Collection[Place], folder: Place) -> set[Place]:
    """Those places, all of them in the folder, at which something is; a URL is listed once.

    Raises:
        DataError: If the address cannot be listed.
    """
    if isinstance(folder, Path):
        return {place for place in places if Path(place).exists()}
    return set(places) & {url for url, _ in bucket.find_files(folder)}


def read_heads(places: Sequence[Place], size: int) -> list[bytes]:
    """The first `size` bytes of files that are there, all paths or all URLs."""
    urls = [place for place in places if isinstance(place, str)]
    return bucket.read_heads(urls, size) if urls else [_head(Path(place), size) for place in places]


def read_image_at(place: Place) -> UInt8[np.ndarray, "h w 3"]:
    """RGB image (0-255), as `read_image` gives it.

    Raises:
        DataError: If it is missing, broken or huge, or stores floats.
    """
    if isinstance(place, Path):
        return read_image(place)
    return decode_image(bucket.read_bytes(place), source=place)


def write_at(place: Place, write: Callable[[Path], object]) -> None:
    """Have `write` make a file, whole or not at all; one for a URL is made here first.

    Args:
        place: Where it goes.
        write: Called with a path, which it writes atomically.

    Raises:
        OutputError: If it cannot be written.
    """
    if isinstance(place, Path):
        write(place)
        return
    try:
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / place.rpartition("/")[2]
            write(local)
            bucket.upload(local, place)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {place} by way of {tempfile.gettempdir()} ({error})") from error


def write_text_at(place: Place, text: str) -> None:
    """Write text as UTF-8, whole or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    write_at(place, lambda path: write_text(path, text))


def remove_at(place: Place) -> None:
    """Take away a file, if it is there."""
    if isinstance(place, Path):
        place.unlink(missing_ok=True)
    else:
        bucket.remove(place)


def _head(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)
