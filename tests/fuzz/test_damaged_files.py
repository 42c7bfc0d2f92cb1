"""Damaged files of every format: read or refused in a line, in bounded time and memory, and nothing else.

`python -m fuzz.hunt FORMAT START STOP` in the folder tests looks at any others, and keeps those with a fault.
"""

from pathlib import Path

import pytest

from fuzz.formats import all_formats
from fuzz.hunt import outcomes

FORMATS = all_formats()
SEEDS = Path(__file__).parent / "seeds"  # FORMAT_NUMBER.suffix: files that once did harm, each below 4 kB
FEW, MANY = 120, 3000
EARLIER = sorted(path.name for path in SEEDS.iterdir())


def faults(kind, jail, start, stop):
    """Sentences of all that is wrong, and how many files were read and refused."""
    found, counts = [], {"read": 0, "refused": 0}
    for number, _, outcome in outcomes(kind, jail, start, stop):
        if fault := outcome.fault(kind.limits):
            found.append(f"{kind.name} {number}: {fault}")
        counts[outcome.kind] = counts.get(outcome.kind, 0) + 1
    return found, counts


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_read_or_refused_in_a_line(name, jail):
    found, counts = faults(FORMATS[name], jail, 0, FEW)
    assert not found, "\n".join(found)
    assert counts["refused"] >= FEW // 10  # else the damage does not get to the reader


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", FORMATS)
def test_many_damaged_files_are_read_or_refused_in_a_line(name, jail):
    found, _ = faults(FORMATS[name], jail, FEW, MANY)
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", EARLIER)
def test_a_file_that_once_did_harm_is_refused(name, jail):
    kind = FORMATS[name.rsplit("_", 1)[0]]
    path = jail.folder / f"a{kind.suffix}"
    for suffix, content in kind.beside().items():
        path.with_suffix(suffix).write_bytes(content)
    path.write_bytes((SEEDS / name).read_bytes())
    outcome = jail.read(kind.reader, path)
    assert outcome.kind in ("read", "refused"), outcome.message
    assert not outcome.fault(kind.limits)


def test_damage_is_the_same_in_every_run():
    kind = FORMATS["flo"]
    assert list(kind.damaged_files(3, 9)) == list(kind.damaged_files(0, 9))[3:]
    assert len({content for _, content in kind.damaged_files(0, 50)}) > 40
