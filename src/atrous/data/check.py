"""Read a data set before any training, and explain every mistake in it."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from atrous.data.builtin import is_builtin
from atrous.data.check_files import file_problems, number_problems
from atrous.data.check_measured import check_measured
from atrous.data.check_pair import Measures, Mistake, inspect_pair, is_complete
from atrous.data.check_recordings import check_recordings
from atrous.data.check_report import Problem, Report, Step
from atrous.data.check_set import (
    TRAIN,
    VAL,
    class_problems,
    crop_problems,
    duplicate_problems,
    ignored_problems,
    label_set_problems,
    split_problems,
)
from atrous.data.check_tally import Tally
from atrous.data.check_volumes import spacing_problems
from atrous.data.folder import Dataset
from atrous.data.open import (
    LAYOUTS,
    find_layout,
    holds_only_recordings,
    open_part,
    refuse_absent,
    split_parts,
)
from atrous.data.open_measured import holds_measured
from atrous.errors import DataError

QUICK_PAIRS = 16  # of each split; with images of a megapixel these take about a second
NUM_THREADS = 2
NUM_TOLD = 3  # mistakes that a refusal tells


def check_dataset(
    path: Path, *, splits: Sequence[str] = (), quick: bool = False, crop_size: tuple[int, int] | None = None
) -> Report:
    """What is wrong with a data set, and what it is like; see `check_each`."""
    return _drained(check_each(path, splits=splits, quick=quick, crop_size=crop_size))


def check_each(
    path: Path, *, splits: Sequence[str] = (), quick: bool = False, crop_size: tuple[int, int] | None = None
) -> Generator[Step, None, Report]:
    """Read a data set; yields after every pair, returns what is wrong and what the data are like.

    Args:
        path: Folder of the data set.
        splits: Those to read, each part of joined ones ("train+more") by itself; all unless given.
        quick: Look whether all files are there, but read only a few pairs of each split.
        crop_size: Height and width in pixels of training crops; with it, crops that show nothing are counted.

    Raises:
        DataError: If the folder is missing, empty or of no known layout, or has no such split.
    """
    if is_builtin(path):
        raise DataError(f"{path} are made when they are read, and have no files to check; train on them")
    if holds_measured(path):
        return (yield from check_measured(path, splits=splits, quick=quick))
    if holds_only_recordings(path):
        return (yield from check_recordings(path, splits=splits, quick=quick))
    name = find_layout(path)
    layout = LAYOUTS[name]
    if crop_size and layout.has_volumes:
        raise DataError(f"{path} holds volumes, and crop_size {crop_size} is that of images; leave it out")
    known = layout.find(path)
    splits = list(dict.fromkeys(part for split in splits for part in split_parts(split)))
    refuse_absent(path, layout, splits)
    problems = split_problems(known) if not splits and layout.has_val else []
    tallies = []
    for split in sorted(splits or known, key=_rank):
        try:
            dataset = open_part(path, layout, split)
        except DataError as error:
            may_lack_masks = split.startswith("test") and split not in splits
            severity = "note" if may_lack_masks else "error"
            problems.append(Problem(severity, "split cannot be opened", str(error)))
            continue
        crops = crop_size if split == TRAIN or TRAIN not in known else None
        tallies.append((yield from _examine(Tally(split, dataset, crops), quick=quick)))
    if not tallies:
        problems = [replace(problem, severity="error") for problem in problems]
    problems = _once(problems) + _conclude(tallies, path, is_fixed=layout.is_fixed, quick=quick)
    problems.sort(key=lambda problem: problem.severity != "error")
    return Report(path, name, quick, tuple(problems), tuple(tally.to_report() for tally in tallies))


def refuse_mistakes(path: Path, *, splits: Sequence[str], measured: bool = False) -> None:
    """Look quickly at what training is about to use.

    Args:
        path: Folder of the data set.
        splits: Those it will use; empty names do not count.
        measured: Whether it will use measured values, where a folder has labels too.

    Raises:
        DataError: If there are mistakes that training would trip over, with the first few of them.
    """
    check = check_measured if measured else check_each
    report = _drained(check(path, splits=[split for split in splits if split], quick=True))
    if not report.errors:
        return
    told = [problem.sentence for problem in report.errors[:NUM_TOLD]]
    if len(report.errors) > NUM_TOLD:
        told.append(f"Mistakes of other kinds: {len(report.errors) - NUM_TOLD}")
    raise DataError(f"{path}: {'. '.join(told)}. Run `atrous check {path}` for all of them")


def _drained(steps: Generator[Step, None, Report]) -> Report:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def _examine(tally: Tally, *, quick: bool) -> Generator[Step, None, Tally]:
    """Add the pairs of a split to its tally, in their order."""
    dataset = tally.dataset
    indices = _few(dataset) if quick else range(len(dataset))
    for done, (index, found) in enumerate(_inspected(dataset, indices, tally.crop_size), start=1):
        tally.add_(dataset.pairs[index], found)
        yield Step(tally.split, done, len(indices))
    return tally


def _inspected(
    dataset: Dataset, indices: Sequence[int], crop_size: tuple[int, int] | None
) -> Iterator[tuple[int, Measures | tuple[Mistake, ...]]]:
    """Number and findings of each pair, read by threads, in order."""
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        pending = deque(
            threads.submit(inspect_pair, dataset, index, crop_size=crop_size) for index in indices
        )
        try:
            for index in indices:
                yield index, pending.popleft().result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _few(dataset: Dataset) -> list[int]:
    """All pairs of which a file is missing, and a few others from first to last."""
    complete = [index for index, pair in enumerate(dataset.pairs) if is_complete(pair)]
    chosen = np.linspace(0, len(complete) - 1, min(QUICK_PAIRS, len(complete))).round().astype(int)
    incomplete = set(range(len(dataset))) - set(complete)
    return sorted(incomplete | {complete[place] for place in chosen})


def _conclude(tallies: Sequence[Tally], root: Path, *, is_fixed: bool, quick: bool) -> list[Problem]:
    """What the tallies say is wrong; nothing follows from what misread masks seem to show."""
    numbers = number_problems(tallies, root, is_fixed=is_fixed)
    problems = (
        file_problems(tallies, root) + numbers + label_set_problems(tallies) + spacing_problems(tallies)
    )
    if not numbers:
        problems += ignored_problems(tallies, root) + crop_problems(tallies, root)
    if not numbers and not quick:
        problems += class_problems(tallies)
    return problems if quick else problems + duplicate_problems(tallies, root)


def _once(problems: Sequence[Problem]) -> list[Problem]:
    """Without those that state the same fact (the part before the way out) as one before them."""
    facts: dict[str, Problem] = {}
    for problem in problems:
        facts.setdefault(problem.sentence.split(";")[0], problem)
    return list(facts.values())


def _rank(split: str) -> tuple[int, str]:
    """Train first, then val, then the others by name."""
    return ({TRAIN: 0, VAL: 1}.get(split, 2), split)
