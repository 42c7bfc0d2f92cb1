"""What pages point to is there: files and headings, tests that are named, figures that are quoted."""

import json
import re
import tomllib

import pytest

import atrous
from docs.blocks import BLOCK, MADE, PAGES, ROOT, name_of

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
OUTSIDE = ("http://", "https://")


def texts(*names):
    return [(ROOT / name).read_text(encoding="utf-8") for name in names]


def anchors(text):
    """Of the headings of a page, as GitHub and mkdocs make them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_links_lead_somewhere(page):
    made = {ROOT / f"docs/{name}" for name in MADE}
    words = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(words):
        if link.startswith(OUTSIDE):
            assert re.fullmatch(r"https?://[\w.-]+\.\w+(/\S*)?", link), f"{page.name}: {link}"
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target in made or target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tests_and_files_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8").replace("\ntest_", "test_")
    for path, name in re.findall(r"((?:tests|examples|benchmarks|recipes)/[\w/]+\.\w+)(?:::(\w+))?", text):
        assert (ROOT / path).is_file(), f"{page.name} names {path}"
        if name:
            assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{page.name} names {name}"


def test_tests_that_are_called_by_name_exist():
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    written = set(re.findall(r"^def (test_\w+)", tests, re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))}
    assert len(named) > 30
    assert named <= written


def test_figures_of_the_zoo_are_those_of_its_table():
    zoo = json.loads((ROOT / "docs/zoo.json").read_text(encoding="utf-8"))
    verified = sum(isinstance(network["8"], float) for network in zoo.values())
    own = [network["own"] for network in zoo.values()]
    refused, same = own.count("refuses"), sum(str(one).startswith("stays") for one in own)
    dense = len(zoo) - refused - same
    other = sum(
        isinstance(network["own"], list) and network["own"] != network["field"] for network in zoo.values()
    )
    readme, peers = (" ".join(text.split()) for text in texts("README.md", "docs/peers.md"))
    assert f"{verified} of {len(zoo)} classifiers of torchvision and timm" in readme
    assert f"own switches manage {dense}, {other} of these with another field" in readme
    assert f"of the {len(zoo)} classifiers of both" in peers
    assert f"make {dense} dense at stride 8 ({other} of these with another receptive field)" in peers
    assert f"refuse {refused}, and change nothing in {same}; `atrous.dilate` makes {verified} dense" in peers


def test_readme_and_its_page_say_the_same_of_peers():
    rows = [
        [line for line in text.splitlines() if line.startswith("| ")]
        for text in texts("README.md", "docs/peers.md")
    ]
    assert rows[1]
    assert set(rows[1]) <= set(rows[0])


def test_the_citation_is_of_this_version():
    (citation,) = texts("CITATION.cff")
    assert f"version: {atrous.__version__}\n" in citation


def test_floors_are_drawn_as_they_are_held():
    settings, architecture = texts("pyproject.toml", "docs/architecture.md")
    (contract,) = tomllib.loads(settings)["tool"]["importlinter"]["contracts"]
    drawing = architecture.partition("```text\n")[2].partition("```")[0]
    drawn = [frozenset(re.split(r" \| ", re.split(r" {2,}", line)[0])) for line in drawing.splitlines()]
    held = [frozenset(layer.split(" | ")) for layer in contract["layers"]]
    assert [floor for floor in drawn if floor in held] == held
