"""What a split of a data set was, in one number: equal wherever it lies, another once a pixel differs."""

import hashlib
import json
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from atrous.data.folder import Dataset, Sample
from atrous.data.open_measured import MeasuredFolder
from atrous.data.order import Reordered
from atrous.data.quantity import Measured
from atrous.data.recordings import RecordingFolder
from atrous.data.samples import AnySamples
from atrous.data.voice import Recording
from atrous.errors import DataError
from atrous.files import sha256_of

SAMPLES_OF_MADE_DATA = 4  # they come out of one program: if that has changed, so have these
NUM_THREADS = 4


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Of a split of a data set.

    Attributes:
        num_samples: It has.
        num_bytes: Of its files; 0 of built-in data.
        sha256: Over the names and contents of its files in the order of the samples, and its classes; of
            built-in data over the values of the first samples.
    """

    num_samples: int
    num_bytes: int
    sha256: str


def fingerprint(samples: AnySamples) -> Generator[int, None, Fingerprint]:
    """The fingerprint of a split; yields the number of files read so far. It reads them all, not decoding.

    Raises:
        DataError: If one cannot be read.
    """
    samples = _as_they_lie(samples)
    whole = hashlib.sha256(json.dumps(samples.label_set.to_dict()).encode())
    files = files_of(samples)
    if not files:
        for index in range(min(SAMPLES_OF_MADE_DATA, len(samples))):
            for name, value in _values(samples[index]):
                whole.update(f"{index} {name} {value.dtype} {value.shape}".encode())
                whole.update(np.ascontiguousarray(value).tobytes())
    num_bytes = 0
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        for done, (path, (size, digest)) in enumerate(zip(files, threads.map(_digest, files), strict=True)):
            whole.update(f"{path.parent.name}/{path.name} {size} {digest}".encode())
            num_bytes += size
            yield done + 1
    return Fingerprint(len(samples), num_bytes, whole.hexdigest())


def files_of(samples: AnySamples) -> tuple[Path, ...]:
    """Every file that samples are read from, once, in their order; none of built-in data."""
    samples = _as_they_lie(samples)
    if isinstance(samples, Dataset):
        paths = [path for pair in samples.pairs for path in (pair.image_path, pair.mask_path)]
    elif isinstance(samples, MeasuredFolder):
        paths = [path for pair in samples.pairs for path in (*pair.image_paths, pair.values_path)]
    elif isinstance(samples, RecordingFolder):
        paths = list(samples.paths)
    else:
        paths = []
    return tuple(dict.fromkeys(paths))  # annotations of many images lie in one file


def _as_they_lie(samples: AnySamples) -> AnySamples:
    """The samples with the numbers that their classes have in the files."""
    while isinstance(samples, Reordered):
        samples = samples.samples
    return samples


def _digest(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    try:
        return path.stat().st_size, sha256_of(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); put it back, or take its sample out") from error


def _values(sample: Sample | Measured | Recording) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a sample of any kind."""
    for item in fields(sample):
        value = getattr(sample, item.name)
        if isinstance(value, np.ndarray):
            yield item.name, value
