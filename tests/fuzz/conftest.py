"""One process for all damaged files of a test run; it is started anew where one kills it."""

from collections.abc import Iterator

import pytest

from fuzz.jail import Jail


@pytest.fixture(scope="session")
def jail(tmp_path_factory) -> Iterator[Jail]:
    with Jail(tmp_path_factory.mktemp("jail")) as jail:
        yield jail
