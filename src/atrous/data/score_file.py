"""Files of scores: an npz with `logits` or `probabilities` (k, h, w), of one verb or of another program."""

import io
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from atrous.data.array_file import BROKEN, read_npy, read_npz
from atrous.errors import DataError
from atrous.files import write_atomically

KEYS = ("logits", "probabilities")
TOLERANCE = 0.02  # of the sum of probabilities: 255 classes rounded to float16 are off by 0.01 at most


def write_probabilities(path: Path, probabilities: Float[np.ndarray, "k h w"]) -> None:
    """Write probabilities as float16, compressed; the file appears whole or not at all.

    Raises:
        OutputError: If the file cannot be written.
    """
    encoded = encode_probabilities(probabilities)
    write_atomically(path, lambda temporary: temporary.write_bytes(encoded))


def encode_probabilities(probabilities: Float[np.ndarray, "k h w"]) -> memoryview:
    """The content of such a file: probabilities as float16, compressed."""
    encoded = io.BytesIO()
    np.savez_compressed(encoded, probabilities=probabilities.astype(np.float16))
    return encoded.getbuffer()


def read_logits(path: Path) -> Float32[np.ndarray, "k h w"]:
    """Scores before the softmax; of probabilities the logarithm, a zero being half of the least number.

    Raises:
        DataError: If the file is missing or broken, holds neither or both, or they are no scores (k, h, w):
            not finite, or probabilities that are negative or do not sum to 1.
    """
    name, scores = _read(path)
    if scores.ndim != 3 or not scores.size or scores.dtype.kind != "f":
        raise DataError(
            f"{path} holds {name} of type {scores.dtype} and shape {scores.shape}; store floats (k, h, w), a "
            "map for each class"
        )
    if not np.abs(scores).max() <= np.finfo(np.float32).max:
        raise DataError(
            f"{path} holds {name} beyond float32, or not finite; clamp them, or mend what wrote them"
        )
    if name == "logits":
        return scores.astype(np.float32)
    sums = scores.sum(0, dtype=np.float64)
    if scores.min() < 0 or np.abs(sums - 1).max() > TOLERANCE:
        raise DataError(
            f"{path} holds probabilities from {scores.min():.3g} on that sum to {sums.min():.3g} to "
            f"{sums.max():.3g} over the classes, where 1 is due; store scores before the softmax as logits"
        )
    least = max(float(np.finfo(scores.dtype).smallest_subnormal) / 2, np.finfo(np.float64).tiny)
    logits = np.empty(scores.shape, np.float32)
    for plane, given in zip(logits, scores, strict=True):  # in double precision, one class at a time
        plane[:] = np.log(np.maximum(given.astype(np.float64), least))
    return logits


def _read(path: Path) -> tuple[str, np.ndarray]:
    """The name and the values of the scores in a file."""
    if not path.is_file():
        raise DataError(f"no scores at {path}; `atrous predict --save-probabilities` writes some")
    try:
        with path.open("rb") as file:
            has_names = file.read(2) == b"PK"
        if has_names:
            found, listed = read_npz(path, KEYS)
            names = ", ".join(listed) or "nothing"
        else:
            read_npy(path)
            found, names = {}, "one array without a name"
    except BROKEN as error:
        raise DataError(
            f"{path} cannot be read as an npz of scores: another kind of file, or cut short; write it anew"
        ) from error
    if len(found) != 1:
        raise DataError(f"{path} holds {names}; store either logits or probabilities (k, h, w) by that name")
    return next(iter(found.items()))
