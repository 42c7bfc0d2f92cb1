"""Loops as machine code, for what torch has no operator for."""

import inspect
from collections.abc import Callable

import numba


def compiled(function: Callable, *, fuses: bool = False) -> Callable:
    """The function compiled at its first call, kept on disk where possible; it runs without Python's lock.

    Args:
        function: In the part of Python that numba reads.
        fuses: Whether a product and a sum may be rounded once, together, which is faster.
    """
    plain = inspect.unwrap(function)  # tests wrap functions in a check of types, which numba cannot read
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"} if fuses else False}
    try:
        return numba.njit(cache=True, **options)(plain)
    except RuntimeError:  # no folder for machine code, neither beside the source nor in the user's cache
        return numba.njit(**options)(plain)
