"""Read measured values before any training, and explain every mistake in them."""

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from atrous.data.check_report import Problem, Report, Step
from atrous.data.measured_figures import MeasuredSplit
from atrous.data.open_measured import MeasuredFolder, measured_splits, open_measured
from atrous.data.quantity import Measured
from atrous.errors import DataError

QUICK_SAMPLES = 16  # of each split
NUM_TOLD = 3  # files that a sentence tells
SPREAD = 1000.0  # a data set whose largest depth is so many times its median has a wrong scale or bad values


def check_measured(
    path: Path, *, splits: Sequence[str] = (), quick: bool = False
) -> Generator[Step, None, Report]:
    """Read a folder of measured values; yields after every sample, returns what is wrong.

    Args:
        path: Folder of the data set.
        splits: Those to read; all unless given.
        quick: Read only some samples of each split.

    Raises:
        DataError: If a split is not there.
    """
    problems: list[Problem] = []
    figures: list[MeasuredSplit] = []
    for split in splits or measured_splits(path):
        try:
            dataset = open_measured(path, split)
        except DataError as error:
            if split not in measured_splits(path):
                raise
            problem = Problem("error", "split cannot be opened", str(error))
            problems += [problem] if problem not in problems else []  # values.toml is of all splits
            continue
        assert isinstance(dataset, MeasuredFolder)
        found, figure = yield from _examine(split, dataset, quick=quick)
        problems += found
        figures += [figure] if figure else []
    for split in ("train", "val"):
        if not splits and split not in measured_splits(path):
            severity = "error" if split == "train" else "note"
            problems.append(
                Problem(severity, f"no {split} split", f'{path} has no split "{split}"; make {path / split}')
            )
    kinds = {kind for split, kind in measured_splits(path).items() if not splits or split in splits}
    problems.sort(key=lambda problem: problem.severity != "error")
    return Report(path, " and ".join(sorted(kinds)), quick, tuple(problems), (), tuple(figures))


def _examine(
    split: str, dataset: MeasuredFolder, *, quick: bool
) -> Generator[Step, None, tuple[list[Problem], MeasuredSplit | None]]:
    """Problems and figures of one split."""
    last = len(dataset) - 1
    number = min(QUICK_SAMPLES, len(dataset)) if quick else len(dataset)
    indices = np.unique(np.linspace(0, last, number).round().astype(int)).tolist()
    errors: dict[str, str] = {}  # without the name of the sample -> the first of its kind
    num_errors, side = 0, 0
    empty, measured, shares = [], [], []
    for done, index in enumerate(indices, start=1):
        try:
            sample = dataset[index]
        except DataError as error:
            num_errors += 1
            errors.setdefault(str(error).replace(dataset.pairs[index].name, "*"), str(error))
        else:
            values, side = _magnitudes(sample), max(side, *sample.image.shape[:2])
            shares.append(len(values) / sample.values[0].size)
            if len(values):
                measured.append(np.quantile(values, (0, 0.5, 1)))
            else:
                empty.append(str(dataset.pairs[index].values_path))
        yield Step(split, done, len(indices))
    told = list(errors.values())[:NUM_TOLD]
    problems = [Problem("error", "sample cannot be read", sentence) for sentence in told]
    if num_errors > len(told):
        number = num_errors - len(told)
        more = f"{split}: {number} more sample{'s' * (number > 1)} cannot be read for reasons like these"
        problems.append(Problem("error", "more samples cannot be read", more))
    if empty:
        names = ", ".join(empty[:NUM_TOLD]) + (", ..." if len(empty) > NUM_TOLD else "")
        severity = "note" if measured else "error"
        fact = f"{split}: {len(empty)} of {len(indices)} files measure nothing"
        problems.append(Problem(severity, "nothing measured", f"{fact} ({names}); remove them", tuple(empty)))
    if not measured:
        return problems, None
    lows, medians, highs = np.array(measured).T
    figure = MeasuredSplit(
        split,
        len(dataset),
        len(shares),
        float(np.mean(shares)),
        float(lows.min()),
        float(np.median(medians)),
        float(highs.max()),
        dataset.quantity.unit,
    )
    problem = _range_problem(figure, is_flow=dataset.quantity.kind == "flow", side=side)
    return problems + ([problem] if problem else []), figure


def _range_problem(figure: MeasuredSplit, *, is_flow: bool, side: int) -> Problem | None:
    """What the range of the values says is wrong; `side` is the largest of the images."""
    if is_flow:
        if figure.median <= side:
            return None
        fact = f"{figure.name}: half of the vectors exceed {figure.median:.4g} px, and images have {side}"
        return Problem("error", "motion beyond the image", f"{fact}; flow is in pixels: look at its unit")
    if figure.highest <= SPREAD * figure.median:
        return None
    fact = f"{figure.name}: the largest depth, {figure.highest:.4g}, is over {SPREAD:g} times the median"
    way_out = "if that stands for what was not measured, store 0 or NaN there"
    return Problem("error", "depth beyond reason", f"{fact}, {figure.median:.4g} {figure.unit}; {way_out}")


def _magnitudes(sample: Measured) -> np.ndarray:
    """Depth, or length of the motion, of every measured pixel."""
    values = sample.values[:, np.isfinite(sample.values).all(0)]
    return np.hypot(*values) if len(values) == 2 else values[0]
