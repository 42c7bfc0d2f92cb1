"""Percentiles of arrays that are larger than memory."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32, Int64

Part = Float32[np.ndarray, "..."]


def percentiles(parts: Sequence[Callable[[], Part]], shares: tuple[float, ...]) -> tuple[float, ...]:
    """Exact percentiles of all finite values, each one that occurs (the lower neighbor); 0 if there are none.

    Floats have the order of the integers of `_keys`: the first pass counts their upper 16 bits, the second
    the lower 16 of those whose upper ones are a percentile's.

    Args:
        parts: Give the parts of the array, each called twice.
        shares: In percent, 0-100.
    """
    upper = np.zeros(1 << 16, np.int64)
    for read in parts:
        upper += np.bincount(_keys(read()) >> 16, minlength=1 << 16)
    if not upper.sum():
        return (0.0,) * len(shares)
    ranks = [int(share / 100 * (int(upper.sum()) - 1)) for share in shares]
    tops = [int(np.searchsorted(upper.cumsum(), rank, side="right")) for rank in ranks]
    lower = {top: np.zeros(1 << 16, np.int64) for top in tops}
    for read in parts:
        keys = _keys(read())
        for top, counts in lower.items():
            counts += np.bincount(keys[keys >> 16 == top] & 0xFFFF, minlength=1 << 16)
    found = []
    for rank, top in zip(ranks, tops, strict=True):
        rest = rank - int(upper[:top].sum())
        found.append(top << 16 | int(np.searchsorted(lower[top].cumsum(), rest, side="right")))
    return tuple(_value(key) for key in found)


def _keys(values: Part) -> Int64[np.ndarray, " n"]:
    """For every finite value an integer 0..2^32-1; the greater the value, the greater."""
    bits = values[np.isfinite(values)].view(np.uint32).astype(np.int64)
    return np.where(bits >> 31, 0xFFFFFFFF - bits, bits | 0x80000000)


def _value(key: int) -> float:
    """The float of a key."""
    bits = key & 0x7FFFFFFF if key >> 31 else 0xFFFFFFFF - key
    return float(np.array(bits, np.uint32).view(np.float32))
