"""One process for all damaged files of a test run; it is started anew where one kills it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz.jail import Jail


@pytest.fixture(scope="session")
def measured() -> None:
    """Nothing, where the system tells how much memory a process took."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux, which measures the peak of memory anew for each file")


@pytest.fixture(scope="session")
def jail(tmp_path_factory, measured) -> Iterator[Jail]:  # noqa: ARG001
    with Jail(tmp_path_factory.mktemp("jail")) as jail:
        yield jail
