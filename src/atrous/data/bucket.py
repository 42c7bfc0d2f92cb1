"""Files behind a URL (s3://, gs://, memory://, ...), through fsspec; every function says it in one line."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atrous.errors import AtrousError, ConfigError, DataError, OutputError

_FOREIGN = (
    ("botocore.exceptions", "BotoCoreError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("gcsfs.retry", "HttpError"),
    ("azure.core.exceptions", "AzureError"),
    ("aiohttp.client_exceptions", "ClientError"),
)
"""What backends raise beside OSError: of a network that is down, or of missing credentials."""


def find_files(url: str) -> list[tuple[str, str]]:
    """Files that a URL names: itself, all below it, or those that match its * and ?; sorted.

    Returns:
        Each with its place below the URL; of a file and of what a pattern matches, its name.

    Raises:
        ConfigError: If the backend of the URL is not installed, or unknown.
        DataError: If the address cannot be listed.
    """
    with _speaking(url, DataError):
        files, root = _opened(url)
        is_pattern = any(letter in url for letter in "*?[")
        found = sorted(files.glob(root) if is_pattern else files.find(root))
    scheme, below = url.partition("://")[0], f"{root.rstrip('/')}/"
    return [
        (
            path if "://" in path else f"{scheme}://{path.lstrip('/')}",
            path.removeprefix(below) if path.startswith(below) else path.rpartition("/")[2],
        )
        for path in found
    ]


def read_bytes(url: str) -> bytes:
    """All of a file.

    Raises:
        DataError: If it is not there, or cannot be fetched.
    """
    with _speaking(url, DataError):
        files, path = _opened(url)
        return files.cat_file(path)


def read_heads(urls: Sequence[str], size: int) -> list[bytes]:
    """The first `size` bytes of each file, fetched together; of one that cannot be read, nothing.

    Raises:
        DataError: If the address cannot be reached.
    """
    if not urls:
        return []
    with _speaking(urls[0], DataError):
        files, _ = _opened(urls[0])
        paths = [files._strip_protocol(url) for url in urls]
        heads = files.cat_ranges(paths, [0] * len(paths), [size] * len(paths), on_error="return")
        return [bytes(head) if isinstance(head, (bytes, bytearray)) else b"" for head in heads]


def upload(local: Path, url: str) -> None:
    """Put a file at a URL; object stores show it whole or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    with _speaking(url, OutputError):
        files, path = _opened(url)
        files.put_file(str(local), path)


def remove(url: str) -> None:
    """Take away a file, if it is there.

    Raises:
        OutputError: If it cannot be removed.
    """
    with _speaking(url, OutputError):
        files, path = _opened(url)
        if files.exists(path):
            files.rm_file(path)


def _opened(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path in it."""
    from fsspec.core import url_to_fs

    return url_to_fs(url, use_listings_cache=False)


def _foreign_errors() -> tuple[type[Exception], ...]:
    """Only of modules that are loaded: others raise nothing."""
    return (OSError, *(getattr(sys.modules[name], error) for name, error in _FOREIGN if name in sys.modules))


@contextmanager
def _speaking(url: str, kind: type[DataError | OutputError]) -> Iterator[None]:
    """Errors of fsspec and its backends as one line."""
    try:
        yield
    except AtrousError:
        raise
    except ImportError as error:
        raise ConfigError(
            f"{url} needs a package that is not installed ({error}); pip install s3fs for s3://, gcsfs for gs://"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{url} is no address that fsspec knows ({error}); give s3://BUCKET/...") from error
    except FileNotFoundError as error:
        raise kind(f"{url} does not exist; check the address") from error
    except _foreign_errors() as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        doing = "written" if kind is OutputError else "read"
        raise kind(f"{url} cannot be {doing} ({reason}); check address, network and credentials") from error
