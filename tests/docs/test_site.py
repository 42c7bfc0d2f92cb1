"""The site builds without a warning, needs nothing from elsewhere, and describes all that is public."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import atrous
import atrous.crf
from atrous.cli import VERBS
from atrous.models.catalog import CATALOG
from docs.blocks import MADE, ROOT

DOCS = ROOT / "docs"
FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class Fetched(HTMLParser):
    """Addresses that a browser loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(FETCHED.get(tag, ""))
        if address:
            self.addresses.append(address)


@pytest.mark.slow
def test_site_builds_without_a_warning_and_needs_nothing_from_elsewhere(tmp_path):
    site = tmp_path / "site"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [ROOT / "scripts/docs", "build", "--site-dir", str(site)],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        parser = Fetched()
        parser.feed(page.read_text(encoding="utf-8"))
        assert not [address for address in parser.addresses if re.match(r"(https?:)?//", address)], page
    commands = (site / "commands/index.html").read_text(encoding="utf-8")
    assert all(f"usage: atrous {verb} " in commands for verb in VERBS)


def test_every_public_name_is_described():
    described = {
        name
        for page in (DOCS / "reference").glob("*.md")
        for name in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    public = {f"atrous.{name}" for name in atrous.__all__} - {"atrous.AtrousError"}
    assert described == public | {f"atrous.crf.{name}" for name in atrous.crf.__all__} | {"atrous.errors"}


def test_every_network_is_named():
    text = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    assert not [name for name in CATALOG if f"`{name}`" not in text]
    assert f"**{len(CATALOG)} networks** by one contract" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert set(re.findall(r"[\w/-]+\.md", navigation)) == pages | MADE
