"""The jail sees every fault that a reader can have, or its silence would say nothing."""

from dataclasses import replace

import numpy as np
import pytest

from fuzz import mutations
from fuzz.jail import Jail, Limits

LIMITS = Limits(seconds=0.3, grown_mib=40, patience=5.0)


@pytest.fixture(scope="module")
def strict(tmp_path_factory, measured):  # noqa: ARG001
    with Jail(tmp_path_factory.mktemp("strict"), free_mib=300) as jail:
        yield jail


@pytest.fixture
def path(strict):
    path = strict.folder / "a.bin"
    path.write_bytes(b"")
    assert strict.read("fuzz.faulty_readers:sound", path, is_whole=True).kind == "read"
    path.write_bytes(b"damaged")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reader", "words"),
    [
        ("sound", ""),
        ("of_value", "escaped: ValueError"),
        ("of_warning", "escaped: RuntimeWarning: overflow"),
        ("of_lines", "the error is no line"),
        ("busy", "s of computing: read"),
        ("greedy", "MiB of memory: read"),
        ("without_bound", "escaped: .*MemoryError"),
        ("crashing", "died: the process ended with -6.*Abort"),
    ],
)
def test_the_jail_reports_a_fault(strict, path, reader, words):
    outcome = strict.read(f"fuzz.faulty_readers:{reader}", path, limits=LIMITS)
    fault = outcome.fault(LIMITS)
    if not words:
        assert outcome.kind == "refused"
        assert not fault
    else:
        assert words.split(".*")[0] in fault
        assert words.split(".*")[-1] in fault


@pytest.mark.slow
def test_the_jail_ends_what_hangs_and_starts_anew(strict, path):
    before = strict.num_starts
    outcome = strict.read("fuzz.faulty_readers:hanging", path, limits=replace(LIMITS, patience=1.0))
    assert outcome.kind == "hung"
    assert outcome.fault(LIMITS).startswith("hung: no answer within 1 s")
    assert strict.read("fuzz.faulty_readers:sound", path, limits=LIMITS).kind == "refused"
    assert strict.num_starts == before + 1


def test_damage_changes_bytes_json_and_text():
    random = np.random.default_rng(0)
    assert sum(mutations.damaged(b"a" * 50, random) != b"a" * 50 for _ in range(20)) >= 18
    assert mutations.damaged(b"", random) == b""
    changed = [mutations.other_json({"a": [1, {"b": 2}]}, random) for _ in range(50)]
    assert any(isinstance(value, dict) and value.get("a", [0])[:1] == [1] for value in changed)
    assert sum(value != {"a": [1, {"b": 2}]} for value in changed) > 45
