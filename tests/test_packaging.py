"""Wheel and sdist: what is in them, and what is not."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MOST_BYTES = {"wheel": 10 << 20, "sdist": 17 << 20}  # 8.5 MB of each are a network


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with both, built from the working copy without fetching anything."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder


def files_below(folder, *parts):
    """Relative names of the files of the working copy, caches left out."""
    return {
        path.relative_to(folder).as_posix()
        for part in parts
        for path in (folder / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.slow
def test_wheel_holds_the_package_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    assert wheel.stat().st_size < MOST_BYTES["wheel"]
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        about = archive.read(metadata).decode()
        (entry,) = (name for name in names if name.endswith("entry_points.txt"))
        commands = archive.read(entry).decode()
    inside = {name for name in names if ".dist-info/" not in name}
    assert inside == files_below(ROOT / "src", "atrous")
    assert {"atrous/py.typed", "atrous/figures/report.css", "atrous/jobs/demo_report.html"} <= inside
    assert "atrous/bundled/street.safetensors" in inside
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/src/atrous/bundled/LICENSE") for name in names)  # of the weights
    assert "License-Expression: MIT AND LicenseRef-atrous-weights" in about
    assert "atrous = atrous.cli:main" in commands
    assert "Requires-Dist: torch" in about
    assert "# atrous" in about  # the README


@pytest.mark.slow
def test_sdist_holds_all_that_tests_and_site_read(built):
    (sdist,) = built.glob("*.tar.gz")
    assert sdist.stat().st_size < MOST_BYTES["sdist"]
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    parts = ("src", "tests", "recipes", "examples", "benchmarks", "scripts", "docs")
    assert files_below(ROOT, *parts) <= names
    at_the_root = {name for name in names if "/" not in name}
    assert {"pyproject.toml", "constraints.txt", "mkdocs.yml", "Makefile", "README.md"} <= at_the_root
    assert {"CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE"} <= at_the_root
    assert not {name for name in names if name.partition("/")[0] in ("runs", "site", ".venv", "shared")}
