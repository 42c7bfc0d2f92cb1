"""Loops as machine code, for what torch has no operator for."""

import inspect
from collections.abc import Callable

import numba


def compiled(function: Callable) -> Callable:
    """The function compiled at its first call, kept on disk where possible; it runs without Python's lock."""
    plain = inspect.unwrap(function)  # tests wrap functions in a check of types, which numba cannot read
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(plain)
    except RuntimeError:  # no folder for machine code, neither beside the source nor in the user's cache
        return numba.njit(nogil=True, error_model="numpy")(plain)
