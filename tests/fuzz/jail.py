"""Reads files in a process of its own, which may crash, hang or eat memory: then it is ended and reported."""

import json
import os
import select
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent.parent
FREE_MIB = 1500  # that a process may allocate beyond what it has when it meets the first damaged file


@dataclass(frozen=True)
class Limits:
    """What reading one file may take.

    Attributes:
        seconds: Of computing.
        grown_mib: Of memory, at the peak, beyond what was there before.
        patience: Seconds of waiting until it counts as hanging; the machine may be busy.
    """

    seconds: float = 5.0
    grown_mib: int = 200
    patience: float = 40.0


@dataclass(frozen=True)
class Outcome:
    """What came of a file.

    Attributes:
        kind: "read", "refused", "escaped", "died" or "hung".
        message: The error; its first characters if it is long.
        seconds: Of computing.
        grown_mib: At the peak.
    """

    kind: str
    message: str = ""
    length: int = 0
    seconds: float = 0.0
    grown_mib: int = 0

    def fault(self, limits: Limits) -> str:
        """What is wrong with it; empty if nothing is."""
        if self.kind not in ("read", "refused"):
            return f"{self.kind}: {self.message}"
        if self.seconds > limits.seconds:
            return f"took {self.seconds:.1f} s of computing: {self.kind} {self.message[:300]}"
        if self.grown_mib > limits.grown_mib:
            return f"took {self.grown_mib} MiB of memory: {self.kind} {self.message[:300]}"
        if "\n" in self.message or self.length > 3000:
            return f"the error is no line that one can read: {self.length} letters, {self.message[:300]!r}"
        return ""


class Jail:
    """One child process at a time, started when it is first needed and again whenever it has died."""

    def __init__(self, folder: Path, *, free_mib: int = FREE_MIB) -> None:
        self.folder = folder
        self.free_mib = free_mib
        self.num_starts = 0
        self._child: subprocess.Popen[str] | None = None
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed at the end)

    def __enter__(self) -> "Jail":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._errors.close()

    def read(
        self, reader: str, path: Path, *, is_whole: bool = False, limits: Limits | None = None
    ) -> Outcome:
        """What `reader`, "module:function", does with a file; a whole one loads what is needed for others."""
        child = self._started()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps({"reader": reader, "path": str(path), "is_whole": is_whole}) + "\n")
            child.stdin.flush()
        except BrokenPipeError:
            return self._dead(child)
        patience = (limits or Limits()).patience + (60 if is_whole else 0)
        if not select.select([child.stdout], [], [], patience)[0]:
            self.end()
            return Outcome("hung", f"no answer within {patience:g} s")
        line = child.stdout.readline()
        return Outcome(**json.loads(line)) if line else self._dead(child)

    def end(self) -> None:
        """End the child, if there is one."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
            self._child = None

    def _started(self) -> "subprocess.Popen[str]":
        if self._child is None:
            self.num_starts += 1
            self._errors.seek(0)
            self._errors.truncate()
            self._child = subprocess.Popen(
                [sys.executable, "-m", "fuzz.child", str(self.free_mib)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                cwd=self.folder,
                env=_environment(self.folder),
            )
        return self._child

    def _dead(self, child: "subprocess.Popen[str]") -> Outcome:
        status = child.wait()
        self._errors.seek(0)
        said = self._errors.read()[-2000:]
        self.end()
        return Outcome("died", f"the process ended with {status}: {said}")


def _environment(folder: Path) -> dict[str, Any]:
    """One thread, the tests' folder to import from, and a place for temporary files that is looked at."""
    paths = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **one, "PYTHONPATH": paths, "TMPDIR": str(folder), "PYTHONFAULTHANDLER": "1"}
