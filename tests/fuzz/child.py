"""The process in which files are read: it says of each what came of it, how long it took, and its memory.

A line of JSON from standard input names a reader and a file, a line of JSON on standard output answers. It
starts as `python -m fuzz.child FREE_MIB` in the folder of the tests.
"""

import gc
import importlib
import json
import os
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from atrous.errors import AtrousError

_MIB = 1 << 20
_KEPT = 12  # lines of a traceback


def answer(reader: Any, path: Path) -> dict[str, Any]:
    """What comes of reading a file: "read", "refused" with our error, or "escaped" with any other."""
    gc.collect()  # of what earlier files left; all that was there before them is frozen
    before = _forget_peak()
    begun = time.process_time()
    kind, message = "read", ""
    try:
        reader(path)
    except AtrousError as error:
        kind, message = "refused", str(error)
    except BaseException as error:  # noqa: BLE001 (whatever gets out is the finding)
        kind = "escaped"
        message = f"{type(error).__name__}: {error!s:.300}\n" + "".join(
            traceback.format_exc().splitlines(keepends=True)[-_KEPT:]
        )
    taken = time.process_time() - begun
    return {
        "kind": kind,
        "message": message[:20_000],
        "length": len(message),
        "seconds": taken,
        "grown_mib": (_status("VmHWM") - before) // _MIB,
    }


def limit_memory(free: int) -> None:
    """Let the process allocate so many bytes more than it has; then Python says MemoryError."""
    most = _status("VmData") + free
    resource.setrlimit(resource.RLIMIT_DATA, (most, resource.RLIM_INFINITY))


def _forget_peak() -> int:
    """Start to measure anew; bytes that are in memory now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmHWM")


def _status(name: str) -> int:
    """A size that Linux keeps of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


def _only_own_warnings_count() -> None:
    """Those of numpy and torch about what our code does are errors, as in all tests; others' are not."""
    warnings.simplefilter("ignore")
    warnings.filterwarnings("error", module=r"atrous\.|fuzz\.|numpy")


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # native libraries say what they like
    _only_own_warnings_count()
    free = int(sys.argv[1]) * _MIB
    is_limited = False
    for line in sys.stdin:
        asked = json.loads(line)
        module, _, name = asked["reader"].partition(":")
        reader = getattr(importlib.import_module(module), name)
        if not asked["is_whole"] and not is_limited:  # what a whole file takes is loaded before
            limit_memory(free)
            is_limited = True
        if asked["is_whole"]:
            resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            is_limited = False
        answers.write(json.dumps(answer(reader, Path(asked["path"]))) + "\n")
        answers.flush()
        if asked["is_whole"]:
            gc.freeze()


if __name__ == "__main__":
    main()
