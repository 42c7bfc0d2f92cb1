"""Runs the commands of a page: `atrous` in this process, which costs no start; everything else by bash."""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from atrous.cli import main
from docs.blocks import ROOT, Block

OUTPUT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run_shell(block: Block, folder: Path) -> None:
    """Run a bash block, or the commands of a console block, which must print what is shown."""
    code = int(block.reason) if block.mark == "exits with" else 0
    if block.language == "console":
        for command, shown in _sessions(block.text):
            _expect(shown, _run(command, folder, block, code=code), block)
    elif _is_plain(block.text):
        for command in _lines(block.text):
            _run(command, folder, block, code=code)
    else:
        _bash(f"set -euo pipefail\n{block.text}", folder, block, code=code)


def _sessions(text: str) -> list[tuple[str, str]]:
    """Command and what it printed, for each `$ command`."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(command, shown) for command, _, shown in (part.partition("\n") for part in parts)]


def _lines(text: str) -> list[str]:
    """Commands, those that go on after a backslash joined; comments of their own left out."""
    joined = text.replace("\\\n", " ").splitlines()
    return [line for line in joined if line.strip() and not line.lstrip().startswith("#")]


def _is_plain(text: str) -> bool:
    """Whether each line is one command of `atrous`, and no work for a shell."""
    commands = [" ".join(shlex.split(line, comments=True)) for line in _lines(text)]
    return all(line.startswith("atrous ") and not re.search(r"[|;&<>$*]", line) for line in commands)


def _run(command: str, folder: Path, block: Block, *, code: int) -> str:
    if not _is_plain(command):
        return _bash(command, folder, block, code=code)
    printed, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        found = main(shlex.split(command, comments=True)[1:])
    assert found == code, (
        f"{block.place}: {command}: exit code {found}\n{said.getvalue()}{printed.getvalue()}"
    )
    return printed.getvalue()


def _bash(script: str, folder: Path, block: Block, *, code: int) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, f"{block.place}: exit code {done.returncode}\n{done.stderr}{done.stdout}"
    return done.stdout


def _expect(shown: str, printed: str, block: Block) -> None:
    """What is shown is what is printed; `...` stands for anything, and spaces count as one."""
    shown = re.sub(r"^\s*\.\.\.$", "...", shown.strip(), flags=re.MULTILINE)
    fits = doctest.OutputChecker().check_output(f"{shown}\n", f"{printed.strip()}\n", OUTPUT)
    assert fits, f"{block.place} shows\n{shown}\nbut the command prints\n{printed}"
