"""Readers with the faults that the jail must report."""

import os
import time
from pathlib import Path

import numpy as np

from atrous.errors import DataError

_KEPT = []


def sound(path: Path) -> None:
    if path.stat().st_size:
        raise DataError(f"{path} is not empty; empty it")


def of_value(path: Path) -> None:
    raise ValueError(path)


def of_warning(path: Path) -> None:  # noqa: ARG001
    assert np.float32(1e38) * np.float32(1e38) > 0


def of_lines(path: Path) -> None:  # noqa: ARG001
    error = DataError("one")
    error.args = ("one\ntwo",)
    raise error


def hanging(path: Path) -> None:  # noqa: ARG001
    time.sleep(60)


def busy(path: Path) -> None:  # noqa: ARG001
    begun = time.process_time()
    while time.process_time() - begun < 0.5:
        pass


def greedy(path: Path) -> None:  # noqa: ARG001
    np.ones(60 << 20, np.uint8)  # 60 MiB, given back at once


def without_bound(path: Path) -> None:  # noqa: ARG001
    while True:
        _KEPT.append(np.ones(50 << 20, np.uint8))


def crashing(path: Path) -> None:  # noqa: ARG001
    os.abort()
