"""What decides a run's weights and is not in its recipe: data, starting weights, versions, machine, git."""

import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

import atrous
from atrous.data.fingerprint import files_of, fingerprint
from atrous.data.samples import AnySamples
from atrous.files import sha256_of
from atrous.inference.machine import computes_in_bfloat16
from atrous.jobs.progress import Job, Progress
from atrous.jobs.train import TrainConfig

PACKAGES = ("torch", "numpy", "pillow", "lightning-fabric", "scipy", "nibabel", "soundfile")
PATIENCE = 10.0  # s for git, which may wait for slow disks

Provenance = dict[str, Any]


def provenance_of(
    config: TrainConfig, fabric: Fabric, splits: Mapping[str, AnySamples], *, init: Path | None
) -> Job[Provenance]:
    """The provenance of a run that begins, or goes on, here; ready for JSON.

    Args:
        config: Of the run.
        fabric: Device and processes.
        splits: The samples by the names of their splits.
        init: The file of its starting weights, given or of a package.

    Raises:
        DataError: If a file of the data cannot be read.
    """
    data = {}
    for split, samples in splits.items():
        total, job = len(files_of(samples)), fingerprint(samples)
        try:
            while True:
                yield Progress(next(job), total, "fingerprint of the data")
        except StopIteration as stop:
            data[split] = asdict(stop.value)
    in_bfloat16 = computes_in_bfloat16(fabric.device, config.precision)
    return {
        "data": data,
        "init": sha256_of(init) if init else None,
        "versions": {"atrous": atrous.__version__, "python": platform.python_version(), **_versions()},
        "machine": {
            "system": platform.platform(),
            "vector instructions": torch.backends.cpu.get_cpu_capability(),
            "device": str(fabric.device),
            "precision": "bfloat16" if in_bfloat16 else "float32",
            "threads": torch.get_num_threads(),
            "processes": fabric.world_size,
        },
        "git": {"atrous": _source_of_atrous(), "working folder": git_state(Path.cwd())},
    }


def differences(before: Provenance, now: Provenance) -> list[str]:
    """What of a run's provenance is another where it goes on; a name and both values each.

    >>> differences({"versions": {"torch": "2.13.0"}}, {"versions": {"torch": "2.14.0"}})
    ['versions: torch was 2.13.0 and is 2.14.0']
    """
    found = []
    for part in ("data", "versions", "machine", "git"):
        old, new = before.get(part, {}), now.get(part, {})
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                found.append(f"{part}: {name} was {_said(old.get(name))} and is {_said(new.get(name))}")
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the git work tree that a folder lies in, and whether tracked files differ from it.

    None where there is no commit, or no git.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return None
    return {"commit": commit, "changed": bool(changes)}


def _source_of_atrous() -> dict[str, Any] | None:
    """The state of the source that runs, where it is a clone; None where it was installed."""
    source = Path(atrous.__file__)
    is_tracked = _git(
        source.parent, "ls-files", "--error-unmatch", source.name
    )  # not one beside a project's .venv
    return git_state(source.parent) if is_tracked else None


def _git(folder: Path, *words: str) -> str | None:
    """What git prints; None if it fails."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        run = subprocess.run(
            [git, "-C", folder, *words], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return run.stdout.strip()


def _versions() -> dict[str, str]:
    """Of the packages that compute and read, as far as they are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _said(value: Any) -> str:
    """A value in a few words."""
    match value:
        case {"commit": str(commit), "changed": changed}:
            return f"{commit[:12]}{' with changes' if changed else ''}"
        case {"num_samples": number, "sha256": str(digest)}:
            return f"{number} samples of sha256 {digest[:12]}"
        case None:
            return "nothing"
    return str(value)
