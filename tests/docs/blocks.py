"""Fenced blocks of a page in Markdown, with the mark that may stand above one.

<!-- not run: REASON -->      needs what a test machine lacks
<!-- run with: camvid -->     runs where ../shared/data has that folder
<!-- exits with: 1 -->        the commands say that something is wrong
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
MADE = {"commands.md", "changelog.md", "contributing.md", "street.md"}  # pages that are on the site alone
CARD = ROOT / "src/atrous/bundled/README.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", CARD, *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^(?:<!--\s*(?P<mark>[^>]*?)\s*-->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
MARKS = ("not run", "run with", "exits with")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        place: Page and line, for error messages.
        line: Of the first line of its text, from 1 on.
        language: What the fence says; empty if nothing.
        text: Between the fences.
        mark: One of `MARKS`, or empty.
        reason: What the mark says.
    """

    place: str
    line: int
    language: str
    text: str
    mark: str = ""
    reason: str = ""


def read_blocks(page: Path) -> list[Block]:
    """All fenced blocks of the page, from top to bottom."""
    content = page.read_text(encoding="utf-8")
    blocks = []
    for found in BLOCK.finditer(content):
        line = content.count("\n", 0, found.start("text")) + 1
        mark, _, reason = (found["mark"] or "").partition(":")
        name = page.relative_to(ROOT) if page.is_relative_to(ROOT) else page.name
        blocks.append(
            Block(f"{name}:{line}", line, found["language"], found["text"], mark.strip(), reason.strip())
        )
    return blocks


def name_of(page: Path) -> str:
    """Of a test."""
    return page.relative_to(ROOT).with_suffix("").as_posix()
