"""Every block of code on every page runs, in the order of the page and in one folder a page."""

import doctest
import json
import linecache
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from atrous.config import load_toml
from atrous.jobs.compare import CompareConfig
from atrous.jobs.train import TrainConfig
from docs.blocks import MARKS, PAGES, ROOT, Block, name_of, read_blocks
from docs.shell import OUTPUT, run_shell

SHARED_DATA = ROOT.parent / "shared/data"
RUN = ("python", "pycon", "bash", "console")
PARSED = {"toml": tomllib.loads, "json": json.loads}
PLAIN = ("text",)
PAGES_THAT_RUN = [page for page in PAGES if any(block.language in RUN for block in read_blocks(page))]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_say_their_language_and_why_they_do_not_run(page):
    for block in read_blocks(page):
        assert block.language in (*RUN, *PARSED, *PLAIN), f"{block.place}: language {block.language!r}"
        assert not block.mark or block.mark in MARKS, f"{block.place}: mark {block.mark!r}"
        assert not block.mark or block.reason, f"{block.place} is marked and does not say why"
        if block.mark == "run with":
            assert block.reason.isidentifier(), f"{block.place}: {block.reason!r} is no folder"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_can_be_read(page):
    for block in read_blocks(page):
        if block.language in PARSED:
            PARSED[block.language](block.text)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES_THAT_RUN, ids=name_of)
def test_page_runs(page, place):
    blocks = read_blocks(page)
    if any("--output runs/mine" in block.text and block.mark != "not run" for block in blocks):
        shutil.rmtree(place / "runs/mine")  # the page makes it
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        if block.mark == "not run" or (block.mark == "run with" and not link_data(block.reason, place)):
            continue
        if block.language == "python":
            run_python(block, namespace)
        elif block.language == "pycon":
            run_session(block, namespace)
        elif block.language in ("bash", "console"):
            run_shell(block, place)
        elif block.language == "toml":
            load_recipe(block, place)


def link_data(name: str, folder: Path) -> bool:
    """Put a real data set of that name into the folder; whether there is one."""
    real, link = SHARED_DATA / name, folder / name
    if real.is_dir() and not link.exists():
        link.symlink_to(real)
    return real.is_dir()


def run_python(block: Block, namespace: dict[str, Any]) -> None:
    text = "\n" * (block.line - 1) + block.text
    linecache.cache[block.place] = (len(text), None, text.splitlines(keepends=True), block.place)
    exec(compile(text, block.place, "exec"), namespace)


def run_session(block: Block, namespace: dict[str, Any]) -> None:
    session = doctest.DocTestParser().get_doctest(block.text, namespace, block.place, block.place, block.line)
    wrong: list[str] = []
    doctest.DocTestRunner(optionflags=OUTPUT).run(session, out=wrong.append, clear_globs=False)
    namespace |= session.globs
    assert not wrong, "".join(wrong)


def load_recipe(block: Block, folder: Path) -> None:
    """A recipe is one that its job takes; other TOML was parsed before."""
    keys = tomllib.loads(block.text).keys()
    if keys & {"front_end", "contenders"}:
        path = folder / "recipe_of_the_page.toml"
        path.write_text(block.text, encoding="utf-8")
        load_toml(path, CompareConfig if "contenders" in keys else TrainConfig)
