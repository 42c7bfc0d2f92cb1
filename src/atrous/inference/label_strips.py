"""Finished strips of a label map, each in a file of its own, so that a job that ends early can go on."""

import json
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from atrous.errors import OutputError, ShapeError
from atrous.files import write_atomically, write_text

_JOB = "job.json"
_STRIP = "[0-9]*.strip"  # not what a killed process left half written, whose name begins with a dot
_FAST = 1  # zlib's level: label maps shrink to a hundredth at any


@dataclass(frozen=True, slots=True)
class LabelStrips:
    """The strips of a label map that are done, from top to bottom; made by `open_label_strips`.

    A strip is there whole or not at all, whatever ends the process.

    Attributes:
        path: Where the finished label map will be.
        size: Its height and width, in pixels.
    """

    path: Path
    size: tuple[int, int]

    @property
    def folder(self) -> Path:
        """Where the strips are, beside the finished file: NAME.parts."""
        return self.path.with_name(f"{self.path.name}.parts")

    @property
    def next_row(self) -> int:
        """The first row that is not done; the height if all are."""
        return max((stop for _, stop in self._strips().values()), default=0)

    def append(self, labels: UInt8[np.ndarray, "rows w"]) -> None:
        """Store the next rows; when this returns, they are on the disk.

        Args:
            labels: The rows from `next_row` on, any number of them, in full width.

        Raises:
            OutputError: If the disk is full; what was stored before stays.
            ShapeError: If the rows have another width, or are none, or more than are missing.
        """
        start = self.next_row
        stop = start + len(labels)
        if labels.shape[1] != self.size[1] or not start < stop <= self.size[0]:
            raise ShapeError(
                f"labels of {labels.shape} given for the rows from {start} on of a map of {self.size}; give "
                f"1 to {self.size[0] - start} rows of {self.size[1]}"
            )
        packed = zlib.compress(np.ascontiguousarray(labels).data, _FAST)
        try:
            write_atomically(
                self.folder / f"{start:010d}-{stop:010d}.strip",
                lambda temporary: temporary.write_bytes(packed),
            )
        except OutputError as error:
            raise OutputError(
                f"cannot store rows {start}-{stop - 1} of {self.path} ({error.__cause__}); the rows before "
                f"are kept in {self.folder}: make room and run the same again, it goes on there"
            ) from error

    def rows(self, height: int) -> Iterator[UInt8[np.ndarray, "rows w"]]:
        """What is done, from the top, that many rows at a time; the last may be fewer.

        Raises:
            OutputError: If a strip was damaged after it was written.
        """
        waiting: list[UInt8[np.ndarray, "rows w"]] = []
        for path, (start, stop) in self._strips().items():
            labels = self._read(path, stop - start)
            while sum(map(len, waiting)) + len(labels) >= height:
                missing = height - sum(map(len, waiting))
                yield np.concatenate([*waiting, labels[:missing]])
                waiting, labels = [], labels[missing:]
            waiting.append(labels)
        if sum(map(len, waiting)):
            yield np.concatenate(waiting)

    def remove(self) -> None:
        """Delete the strips and their folder.

        Raises:
            OutputError: If that is not allowed.
        """
        try:
            for path in self.folder.iterdir():
                if path.name != _JOB:  # last: a folder without it would be taken for somebody else's
                    path.unlink()
            shutil.rmtree(self.folder)
        except OSError as error:
            raise OutputError(f"cannot delete {self.folder} ({error}); delete it by hand") from error

    def _strips(self) -> dict[Path, tuple[int, int]]:
        """Files and rows (start, stop) of the strips that follow each other from row 0 on."""
        stops = {}
        for path in self.folder.glob(_STRIP):
            start, stop = map(int, path.stem.split("-"))
            stops[start] = (path, stop)
        chain = {}
        row = 0
        while row in stops:
            path, stop = stops[row]
            chain[path] = (row, stop)
            row = stop
        return chain

    def _read(self, path: Path, rows: int) -> UInt8[np.ndarray, "rows w"]:
        try:
            return np.frombuffer(zlib.decompress(path.read_bytes()), np.uint8).reshape(rows, self.size[1])
        except (OSError, ValueError, zlib.error) as error:
            raise OutputError(
                f"{path} cannot be read ({error}); delete it and run the same again, which makes its "
                "rows anew"
            ) from error


def open_label_strips(
    path: Path, size: tuple[int, int], job: dict[str, Any], *, overwrite: bool = False
) -> LabelStrips:
    """The strips of a label map: those that an earlier run of the same job left, or none yet.

    Strips of different jobs are never mixed. Those of an input that has changed are worthless, and go.

    Args:
        path: Where the finished label map will be.
        size: Its height and width, in pixels.
        job: What the labels depend on (input, checkpoint, settings), of what JSON can hold.
        overwrite: Delete the strips of another job.

    Raises:
        OutputError: If the strips there are another job's and must stay, or the folder cannot be written.
    """
    strips = LabelStrips(path, size)
    fingerprint = json.loads(json.dumps({"size": size, **job}))  # tuples become lists, as in the file
    if strips.folder.is_dir() and any(strips.folder.glob("[!.]*")):
        found = _job_of(strips.folder)
        if found == fingerprint:
            return strips
        is_lost = found is not None and (strips.next_row == 0 or _is_changed_input(found, fingerprint))
        if not (overwrite or is_lost) or found is None:
            raise OutputError(_other_job(strips.folder, found, fingerprint))
        strips.remove()
    write_text(strips.folder / _JOB, json.dumps(fingerprint, indent=2))
    return strips


def _job_of(folder: Path) -> dict[str, Any] | None:
    """The fingerprint in a folder; None if there is none."""
    try:
        found = json.loads((folder / _JOB).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_changed_input(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether the same file has other content now."""
    return found.get("path") == wanted.get("path") and any(
        found.get(name) != wanted.get(name) for name in ("bytes", "modified_ns")
    )


def _other_job(folder: Path, found: dict[str, Any] | None, wanted: dict[str, Any]) -> str:
    if found is None:
        return f"{folder} is there and was not made by atrous; move it away or choose another --output"
    names = ", ".join(name for name in {**found, **wanted} if found.get(name) != wanted.get(name))
    return (
        f"{folder} holds the finished part of another job (its {names} differ); run that one again to go on, "
        "or add --overwrite to begin anew"
    )
