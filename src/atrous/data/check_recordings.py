"""Read a folder of sounds before a generator learns from them, and explain every mistake in it."""

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from atrous.data.check_report import Problem, Report, Step
from atrous.data.recordings import RecordingFolder, open_recordings, recording_splits
from atrous.data.sound import refuse_broken_header, sample_rate_of
from atrous.data.sound_figures import SoundSplit
from atrous.errors import DataError

QUICK_SAMPLES = 16  # of each split
NUM_TOLD = 3  # files that a sentence tells
CLIPPED = 0.01  # share of samples at the largest value, from which a sound is distorted
SHORT = 0.05  # seconds


def check_recordings(
    path: Path, *, splits: Sequence[str] = (), quick: bool = False
) -> Generator[Step, None, Report]:
    """Read a folder of sounds; yields after every sound, returns what is wrong.

    Args:
        path: Folder of the data set.
        splits: Those to read; all unless given.
        quick: Read the headers of all sounds, and the samples of some of each split.

    Raises:
        DataError: If a split is not there, or conditions are found for some sounds only.
        ConfigError: If the extra audio is not installed.
    """
    problems: list[Problem] = []
    figures: list[SoundSplit] = []
    datasets = {split: open_recordings(path, split) for split in splits or recording_splits(path)}
    for split, dataset in datasets.items():
        found, figure = yield from _examine(split, dataset, quick=quick)
        problems += found + _condition_problems(split, dataset)
        figures += [figure] if figure else []
    problems += _other_conditions(datasets)
    problems.sort(key=lambda problem: problem.severity != "error")
    return Report(path, "sounds", quick, tuple(problems), (), tuple(figures))


def _examine(
    split: str, dataset: RecordingFolder, *, quick: bool
) -> Generator[Step, None, tuple[list[Problem], SoundSplit | None]]:
    """Problems and figures of one split."""
    number = min(QUICK_SAMPLES, len(dataset)) if quick else len(dataset)
    indices = np.unique(np.linspace(0, len(dataset) - 1, number).round().astype(int)).tolist()
    broken = [] if number == len(dataset) else _broken_headers(dataset)
    seconds: list[float] = []
    odd: dict[str, list[str]] = {"silent": [], "clipped": [], "short": [], "rate": []}
    for done, index in enumerate(indices, start=1):
        path = dataset.paths[index]
        try:
            samples = dataset[index].samples
        except DataError as error:
            broken += [] if str(error) in broken else [str(error)]
        else:
            seconds.append(len(samples) / dataset.voice.sample_rate)
            loudest = np.abs(samples).max()
            odd["silent"] += [str(path)] if loudest == 0 else []
            is_clipped = loudest > 0 and np.sum(np.abs(samples) == loudest) > max(1, CLIPPED * len(samples))
            odd["clipped"] += [str(path)] if is_clipped else []
            odd["short"] += [str(path)] if seconds[-1] < SHORT else []
            odd["rate"] += [str(path)] if sample_rate_of(path) != dataset.voice.sample_rate else []
        yield Step(split, done, len(indices))
    problems = [Problem("error", "sound cannot be read", sentence) for sentence in broken[:NUM_TOLD]]
    if len(broken) > NUM_TOLD:
        more = f"{split}: {len(broken) - NUM_TOLD} more sounds cannot be read for reasons like these"
        problems.append(Problem("error", "more sounds cannot be read", more))
    said = {
        "silent": "hold nothing but zeros; remove them",
        "clipped": f"have over {CLIPPED:.0%} of their samples at their largest value: recorded too loud",
        "short": f"are shorter than {SHORT:g} s; remove them, if that is a mistake",
        "rate": f"have another rate than the first, {dataset.voice.sample_rate} Hz, and are resampled to it",
    }
    problems += [
        Problem(
            "note",
            kind,
            f"{split}: {len(files)} of {len(seconds)} sounds {said[kind]} ({_few(files)})",
            tuple(files),
        )
        for kind, files in odd.items()
        if files
    ]
    if not seconds:
        return problems, None
    voice = dataset.voice
    lengths = (min(seconds), float(np.median(seconds)), max(seconds))
    figure = SoundSplit(split, len(dataset), len(seconds), lengths, voice.sample_rate, voice.conditions)
    return problems, figure


def _broken_headers(dataset: RecordingFolder) -> list[str]:
    """What is wrong with files before their samples are read, which is quick."""
    broken: list[str] = []
    for path in dataset.paths:
        try:
            refuse_broken_header(path)
        except DataError as error:
            broken.append(str(error))
    return broken


def _condition_problems(split: str, dataset: RecordingFolder) -> list[Problem]:
    """Conditions that hardly any sound has: file names that begin with something else than a condition."""
    counts = np.bincount([number or 0 for number in dataset.numbers], minlength=1)
    names = dataset.voice.conditions
    rare = [name for name, count in zip(names, counts, strict=False) if count == 1]
    if not rare or len(dataset) < 2:
        return []
    fact = f"{split}: {len(rare)} of {len(names)} conditions have one sound each ({_few(rare)})"
    way_out = "a condition is the folder's name, or what stands in a file's name before the first underscore"
    return [Problem("note", "rare conditions", f"{fact}; {way_out}", tuple(rare))]


def _other_conditions(datasets: dict[str, RecordingFolder]) -> list[Problem]:
    """Splits whose conditions are others than those of the first."""
    problems: list[Problem] = []
    (first, start), *rest = datasets.items()
    for split, dataset in rest:
        if other := set(start.voice.conditions) ^ set(dataset.voice.conditions):
            fact = f"{first} and {split} have different conditions, such as {_few(sorted(other))}"
            way_out = "a network is told conditions by their number: give each split a sound of each"
            problems.append(Problem("error", "different conditions", f"{fact}; {way_out}"))
    return problems


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:NUM_TOLD]) + (", ..." if len(names) > NUM_TOLD else "")
