"""What `check` found in a data set: problems in one sentence each, and figures of every split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from atrous.data.measured_figures import MeasuredSplit
from atrous.data.sound_figures import SoundSplit

Severity = Literal["error", "note"]

SHOWN_CLASSES = 40  # lines of the table; JSON has all


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, however many files show it.

    Attributes:
        severity: "error" where training would fail or learn nonsense, else "note".
        kind: What is wrong, in two or three words that never change.
        sentence: What is wrong, where, and the way out.
        files: Every file that shows it, as in the sentence; of duplicates, each before the one it repeats.
    """

    severity: Severity
    kind: str
    sentence: str
    files: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "severity": self.severity,
            "kind": self.kind,
            "sentence": self.sentence,
            "files": list(self.files),
        }


@dataclass(frozen=True, slots=True)
class Step:
    """A sample of a split has been read: number `done` of `total`."""

    split: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class ClassReport:
    """How often a split shows a class.

    Attributes:
        name: Of the class.
        pixel_share: Of the pixels that are not ignored, in [0, 1].
        num_images: Images that show it.
    """

    name: str
    pixel_share: float
    num_images: int


@dataclass(frozen=True, slots=True)
class SplitReport:
    """Figures of the pairs of a split that were read.

    Attributes:
        name: Of the split.
        num_samples: Pairs that it has.
        num_read: Pairs whose image and mask were read and agree; all figures are of these.
        smallest_size: Smallest height and smallest width, in pixels; (0, 0) where nothing was read. Of
            volumes, the smallest number of voxels along x, y and z; of sounds, of samples.
        largest_size: Largest height and largest width, in pixels; of volumes, along x, y and z; of sounds,
            samples.
        ignored_share: Of all pixels, in [0, 1].
        ignored_crop_share: Of all crops that training may draw without zoom, those without a valid pixel;
            None where no crop size was given.
        classes: In the order of the labels.
    """

    name: str
    num_samples: int
    num_read: int
    smallest_size: tuple[int, ...]
    largest_size: tuple[int, ...]
    ignored_share: float
    ignored_crop_share: float | None
    classes: tuple[ClassReport, ...]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; sizes are (height, width), or (x, y, z)."""
        return {
            "num_samples": self.num_samples,
            "num_read": self.num_read,
            "smallest_size": list(self.smallest_size),
            "largest_size": list(self.largest_size),
            "ignored_share": self.ignored_share,
            "ignored_crop_share": self.ignored_crop_share,
            "classes": [
                {"name": each.name, "pixel_share": each.pixel_share, "num_images": each.num_images}
                for each in self.classes
            ],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What is wrong with a data set, and what it is like.

    Attributes:
        path: The data set.
        layout: How its files are arranged.
        quick: Whether all names were looked at but only a few pairs read.
        problems: Errors first.
        splits: Figures of every split of labels that could be opened.
        measured: Figures of every split of measured values, or of sounds, that could be opened.
    """

    path: Path
    layout: str
    quick: bool
    problems: tuple[Problem, ...]
    splits: tuple[SplitReport, ...]
    measured: tuple[MeasuredSplit | SoundSplit, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that training would trip over."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def notes(self) -> tuple[Problem, ...]:
        """The problems that training survives."""
        return tuple(problem for problem in self.problems if problem.severity == "note")

    @property
    def exit_code(self) -> int:
        """Of the command: 1 if there are errors."""
        return 1 if self.errors else 0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "data": str(self.path),
            "layout": self.layout,
            "quick": self.quick,
            "problems": [problem.to_dict() for problem in self.problems],
            "splits": {split.name: split.to_dict() for split in (*self.splits, *self.measured)},
        }

    def to_table(self) -> str:
        """Plain text: figures of the splits, of the classes, and the problems last."""
        parts = [f"{self.path} ({self.layout} layout)"]
        if self.splits:
            parts += [_split_table(self.splits), _class_table(self.splits)]
        if self.measured:
            parts.append("\n".join(split.to_line() for split in self.measured))
        for title, problems in (("errors", self.errors), ("notes", self.notes)):
            if problems:
                parts.append("\n".join([f"{title}:", *(f"- {problem.sentence}" for problem in problems)]))
        if not self.errors:
            parts.append("no mistakes found" + (" in the pairs read" if self.quick else ""))
        return "\n\n".join(parts)


_WORDS = {
    1: ("length, samples of sound", "samples in sounds"),
    2: ("width x height, px", "pixels in images"),
    3: ("right x front x up, voxels", "voxels in volumes"),
}  # what sizes and shares are of, by the axes of what is labeled


def _words(splits: Sequence[SplitReport]) -> tuple[str, str]:
    return _WORDS[max((len(split.largest_size) for split in splits if split.num_read), default=2)]


def _split_table(splits: Sequence[SplitReport]) -> str:
    with_crops = any(split.ignored_crop_share is not None for split in splits)
    rows = [("split", "samples", "read", _words(splits)[0], "ignored")]
    rows += [
        (
            split.name,
            str(split.num_samples),
            str(split.num_read),
            _size_range(split),
            f"{split.ignored_share:.1%}",
        )
        for split in splits
    ]
    if with_crops:
        shares = [split.ignored_crop_share for split in splits]
        column = ["empty crops", *("" if share is None else f"{share:.2%}" for share in shares)]
        rows = [(*row, cell) for row, cell in zip(rows, column, strict=True)]
    return _aligned(rows)


def _class_table(splits: Sequence[SplitReport]) -> str:
    """A line a class: share of valid pixels, and images that show it, for every split."""
    names = [each.name for each in max(splits, key=lambda split: len(split.classes)).classes]
    rows = [("class", *(f"{split.name}: {_words(splits)[1]}" for split in splits))]
    for label, name in enumerate(names[:SHOWN_CLASSES]):
        cells = [
            f"{split.classes[label].pixel_share:.2%} in {split.classes[label].num_images:>4}"
            if label < len(split.classes)
            else ""
            for split in splits
        ]
        rows.append((name, *cells))
    if len(names) > SHOWN_CLASSES:
        rows.append((f"and {len(names) - SHOWN_CLASSES} more (--json)", *("" for _ in splits)))
    return _aligned(rows)


def _size_range(split: SplitReport) -> str:
    """Width and height, or x, y and z of volumes, as a range where they differ."""
    if not split.num_read:
        return ""
    ranges = list(zip(split.smallest_size, split.largest_size, strict=True))
    if len(ranges) == 2:
        ranges.reverse()
    return " x ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns two spaces apart, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)
