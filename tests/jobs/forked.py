"""Starts trainings by the dozen: one process imports atrous once, and forks for each of them.

Reads lines of JSON: the words after `atrous`; `after`, seconds until the training gets SIGKILL; `event`, the
number of the file operation in `folder` at which it kills itself. Writes a line for each: status, seconds,
and the file operations that there were if it was not killed.
"""

import importlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

SLOW_TO_IMPORT = (
    *("atrous.cli", "atrous.jobs.preparation", "atrous.jobs.training_run", "atrous.figures.curves"),
    *("tyro", "rich.console", "matplotlib.backends.backend_agg"),
)
OPERATIONS = ("open", "os.rename", "os.remove", "os.chmod", "os.mkdir", "os.rmdir")


def count_operations(folder, kill_at):
    """A list whose length is the number of operations on files in the folder; SIGKILL before one of them."""
    seen = []

    def on_event(name, arguments):
        if name in OPERATIONS and str(arguments[0]).startswith(folder):
            seen.append(name)
            if len(seen) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(on_event)
    return seen


def train(request, report):
    """In the child: the command, as a terminal runs it."""
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    seen = count_operations(request["folder"], request.get("event"))
    from atrous.cli import main

    code = main(request["words"])
    os.write(report, str(len(seen)).encode())
    sys.stdout.flush()
    os._exit(code)


def serve():
    """One child after the other."""
    for module in SLOW_TO_IMPORT:
        importlib.import_module(module)

    for line in sys.stdin:
        request = json.loads(line)
        reading, writing = os.pipe()
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            train(request, writing)
        os.close(writing)
        if (after := request.get("after")) is not None:
            threading.Timer(after, kill, (child,)).start()
        status = os.waitpid(child, 0)[1]
        seconds = time.monotonic() - started
        with os.fdopen(reading) as report:
            operations = report.read()
        answer = {"status": os.waitstatus_to_exitcode(status), "seconds": seconds, "operations": operations}
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def kill(child):
    """Nothing, if it has ended; its number is not given to another process within a test."""
    if Path(f"/proc/{child}").exists():
        os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    serve()
