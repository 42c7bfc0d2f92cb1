"""Looks for faults in a range of damaged files: `python -m fuzz.hunt FORMAT START STOP`, in tests/."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fuzz.formats import Format, all_formats
from fuzz.jail import Jail, Outcome


def outcomes(kind: Format, jail: Jail, start: int, stop: int) -> Iterator[tuple[int, bytes, Outcome]]:
    """What comes of damaged files by number, after whole ones were read."""
    path = jail.folder / f"a{kind.suffix}"
    for suffix, content in kind.beside().items():
        path.with_suffix(suffix).write_bytes(content)
    for number, content in enumerate(kind.wholes()):
        path.write_bytes(content)
        found = jail.read(kind.reader, path, is_whole=True)
        if found.kind != "read":
            raise AssertionError(f"whole file {number} of {kind.name} is {found}")
    for number, content in kind.damaged_files(start, stop):
        path.write_bytes(content)
        yield number, content, jail.read(kind.reader, path, limits=kind.limits)


def main() -> None:
    """Print every fault, and keep the file that made it."""
    names, start, stop = sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3])
    formats = all_formats()
    kept = Path(tempfile.gettempdir(), "atrous_faults")
    kept.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Jail(Path(folder)) as jail:
        for name in formats if names == ["all"] else names:
            _hunt(formats[name], jail, start, stop, kept)


def _hunt(kind: Format, jail: Jail, start: int, stop: int, kept: Path) -> None:
    counts: dict[str, int] = {}
    slowest, largest = 0.0, 0
    for number, content, found in outcomes(kind, jail, start, stop):
        counts[found.kind] = counts.get(found.kind, 0) + 1
        slowest, largest = max(slowest, found.seconds), max(largest, found.grown_mib)
        if fault := found.fault(kind.limits):
            (kept / f"{kind.name}_{number}{kind.suffix}").write_bytes(content)
            sys.stdout.write(f"--- {kind.name} {number}: {fault}\n")
    sys.stdout.write(f"{kind.name}: {counts}, at most {slowest:.2f} s, {largest} MiB\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
