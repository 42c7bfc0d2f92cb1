"""Regions as lengths of runs, the form in which COCO stores crowds and masks that no polygon describes."""

import numpy as np
from jaxtyping import Bool


def decode_runs(runs: tuple[int, ...], *, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """Region given by lengths of runs, out and in by turns, down the columns.

    >>> decode_runs((1, 2, 1), size=(2, 2)).tolist()
    [[False, True], [True, False]]
    """
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return inside.reshape(size[::-1]).T


def unpack_runs(packed: str) -> tuple[int, ...]:
    """Lengths of runs that COCO's tools packed into a string.

    Six bits a character from "0" on, the low ones first: five of the number and one that says
    that more follow. From the fourth run on, a number is the difference to the run two before it.
    """
    runs: list[int] = []
    number = shift = 0
    for character in packed:
        bits = ord(character) - 48
        number |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                number -= 1 << shift  # negative, in two's complement
            runs.append(number + runs[-2] if len(runs) > 2 else number)
            number = shift = 0
    return tuple(runs)
