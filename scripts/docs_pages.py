"""Pages of the site that nobody writes by hand: every verb's help, and what lies elsewhere in the project.

A hook of mkdocs. `commands.md` gets the help of each verb as the command itself prints it; CHANGELOG.md and
CONTRIBUTING.md become pages, and recipes lie on the site where the pages link to them.
"""

import contextlib
import io
import os
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from atrous.cli import VERBS, main

ROOT = Path(__file__).parent.parent
PAGES = {
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "street.md": "src/atrous/bundled/README.md",
}
LINKS = {  # as they are in the project, and on the site
    "](docs/": "](",
    "](../../../docs/": "](",
    "](../../../": "](../",
    "](src/atrous/bundled/README.md": "](street.md",
    "](LICENSE)": "](street-licence.txt)",
}
COLUMNS = "78"  # of a terminal: what a page has room for


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    files.append(File.generated(config, "commands.md", content=describe_commands()))
    for page, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        for written, on_site in LINKS.items():
            text = text.replace(written, on_site)
        files.append(File.generated(config, page, content=text))
    licence = str(ROOT / "src/atrous/bundled/LICENSE")
    files.append(File.generated(config, "street-licence.txt", abs_src_path=licence))
    for recipe in sorted((ROOT / "recipes").glob("*.toml")):
        files.append(File.generated(config, f"recipes/{recipe.name}", abs_src_path=str(recipe)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Recipes are beside docs/ in the project, and inside it on the site."""
    return markdown.replace("](../recipes/", "](recipes/")


def describe_commands() -> str:
    """A chapter a verb: what `atrous VERB --help` prints."""
    chapters = [
        "# Commands",
        "What `atrous VERB --help` prints, for every verb. Each takes `--json`, which prints the result as "
        "one JSON object and nothing else, and `--debug`, which shows the traceback of an error. The exit "
        "code is 0 if all is done, 1 after an error or where a mistake was found, 2 if the command was not "
        "understood, 130 after Ctrl-C.",
    ]
    for verb, (_, _, what) in VERBS.items():
        chapters += [f"## atrous {verb}", f"{what[0].upper()}{what[1:]}.", f"```text\n{help_of(verb)}\n```"]
    return "\n\n".join(chapters) + "\n"


def help_of(verb: str) -> str:
    """What a terminal of `COLUMNS` shows of it."""
    os.environ["COLUMNS"] = COLUMNS
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([verb, "--help"])
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())
