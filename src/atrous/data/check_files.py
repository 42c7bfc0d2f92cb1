"""Mistakes of single files, told once each however many files show them."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from atrous.data.check_pair import Mistake
from atrous.data.check_report import Problem
from atrous.data.check_tally import Tally
from atrous.data.encoding import IndexEncoding
from atrous.data.label_file import LABEL_FILE, read_label_file
from atrous.data.labels import IGNORE

NUM_NAMED = 3  # files that a sentence names


def file_problems(tallies: Sequence[Tally], root: Path) -> list[Problem]:
    """The mistakes that keep pairs from being read, all but foreign numbers, one problem a kind."""
    by_kind: dict[str, list[Mistake]] = defaultdict(list)
    for tally in tallies:
        for mistake in tally.mistakes:
            by_kind[mistake.kind].append(mistake)
    by_kind.pop("foreign number", None)
    problems = []
    for kind, mistakes in by_kind.items():
        files = names([mistake.file for mistake in mistakes], root)
        problems.append(Problem("error", kind, _shortened(mistakes[0], root) + also(files), files))
    return problems


def number_problems(tallies: Sequence[Tally], root: Path, *, is_fixed: bool) -> list[Problem]:
    """Numbers in masks that stand for no class, or for ignored pixels by accident.

    What the numbers mean shows in all masks together: a single mask without class 0 looks as if its numbers
    began at 1.
    """
    numbered = [tally for tally in tallies if tally.encoding is not None]
    if not numbered or (encoding := numbered[0].encoding) is None:
        return []
    mistakes = [
        mistake for tally in numbered for mistake in tally.mistakes if mistake.kind == "foreign number"
    ]
    seen = set().union(*(_numbers(tally, encoding) for tally in numbered))
    if not mistakes:
        return _binary_problem(numbered, encoding, seen, root)
    known = {*encoding.values, *encoding.ignored}
    files = names([mistake.file for mistake in mistakes], root)
    first = [number for number in mistakes[0].numbers if number not in known]
    foreign = sorted(seen - known)
    held = _listed(first) if first == foreign else f"{_listed(first)} (all masks: {_listed(foreign)})"
    classes = _listed(encoding.values)
    if encoding.ignored:
        classes += f" and {_listed(encoding.ignored)} {'is' if len(encoding.ignored) == 1 else 'are'} ignored"
    way_out = "these are the data set's own: put its original masks back"
    if not is_fixed:
        way_out = _way_out(seen, foreign, encoding, mistakes[0].file.suffix.lower())
    sentence = f"{files[0]} holds {held}, but the classes are {classes}; {way_out}{also(files)}"
    return [Problem("error", "foreign number", sentence, files)]


def names(paths: Sequence[Path], root: Path) -> tuple[str, ...]:
    """Paths as sentences tell them: without the folder of the data set."""
    return tuple(str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in paths)


def also(files: Sequence[str]) -> str:
    """The files after the first, which the sentence has named, or their number, in brackets."""
    once = list(dict.fromkeys(files))  # splits may share files
    named, rest = once[1:NUM_NAMED], once[NUM_NAMED:]
    if not named:
        return ""
    return f" (also {', '.join(named)} and {len(rest)} more)" if rest else f" (also {', '.join(named)})"


def _shortened(mistake: Mistake, root: Path) -> str:
    """Its sentence, with the paths as `names` tells them."""
    paths = (mistake.pair.image_path, mistake.pair.mask_path)
    short = dict(zip(map(str, paths), names(paths, root), strict=True))
    pattern = "|".join(re.escape(path) for path in sorted(short, key=len, reverse=True))
    return re.sub(pattern, lambda match: short[match[0]], mistake.sentence)


def _numbers(tally: Tally, encoding: IndexEncoding) -> set[int]:
    """All numbers that the masks of a split hold."""
    seen = {encoding.values[label] for label in tally.shown}
    if tally.partly_ignored:
        seen.update(encoding.ignored)
    return seen.union(*(mistake.numbers for mistake in tally.mistakes))


def _way_out(seen: set[int], foreign: Sequence[int], encoding: IndexEncoding, suffix: str) -> str:
    """What to do about foreign numbers, from all numbers that were seen."""
    num_classes = len(encoding.values)
    counted, meant = sorted(seen), sorted(seen - set(encoding.ignored))
    if suffix in {".jpg", ".jpeg"}:
        return "JPEG changes the numbers, so store masks as PNG"
    if num_classes == 2 and seen <= {0, IGNORE}:
        return f"for binary masks of 0 and 255 write values = [0, 255] into {LABEL_FILE}"
    from_1 = f"values = {_counted_from_1(num_classes)}"
    is_next = foreign == [num_classes] and encoding.values == tuple(range(num_classes))
    if is_next and 0 not in seen:
        return f"classes count from 0 here: subtract 1 in every mask, or write {from_1} into {LABEL_FILE}"
    if num_classes in (len(counted), len(meant)):
        values = counted if len(counted) == num_classes else meant
        return f"if these stand for the classes, write values = {values} into {LABEL_FILE}"
    if len(foreign) == 1 and counted == meant:
        way_out = f"name its class in {LABEL_FILE}, or set ignore_index = {foreign[0]} there if it is none"
        return f"{way_out}, or {from_1} and ignore_index = 0 if 0 is none" if is_next else way_out
    return f"name these classes in {LABEL_FILE}, or correct the masks"


def _binary_problem(
    tallies: Sequence[Tally], encoding: IndexEncoding, seen: set[int], root: Path
) -> list[Problem]:
    """Masks of 0 and 255 that nobody said how to read: 255 is ignored, and class 1 never occurs."""
    trap = IndexEncoding((0, 1))  # what labels.toml means that says nothing but two names
    if encoding != trap or IGNORE not in seen or 1 in seen:
        return []
    if (root / LABEL_FILE).is_file() and read_label_file(root).ignore_index is not None:
        return []
    files = names([path for tally in tallies for path in tally.partly_ignored], root)
    name = tallies[0].dataset.label_set.names[1]
    sentence = (
        f'masks hold only 0 and 255 ({files[0]}), and 255 reads as ignored, so the class "{name}" never '
        f"occurs; write values = [0, 255] into {LABEL_FILE} if 255 stands for it, or ignore_index = 255 if "
        f"not{also(files)}"
    )
    return [Problem("error", "binary mask", sentence, files)]


def _counted_from_1(num_classes: int) -> str:
    """The list 1, 2 and so on, in short if it is long."""
    return str(list(range(1, num_classes + 1))) if num_classes < 6 else f"[1, 2, ..., {num_classes}]"


def _listed(values: Sequence[int]) -> str:
    """The first few numbers, or first and last of those that follow each other."""
    if len(values) > 2 and list(values) == list(range(values[0], values[-1] + 1)):
        return f"{values[0]}-{values[-1]}"
    head = ", ".join(str(value) for value in values[:8])
    return f"{head}, ..." if len(values) > 8 else head
