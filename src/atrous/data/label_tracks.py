"""Label tracks as Audacity writes them: a line for each stretch of a sound, its begin, end and class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from atrous.data.labels import LabelSet
from atrous.data.sound import num_samples_of
from atrous.errors import DataError
from atrous.files import write_text

ENDING = ".txt"
LONGEST = 1e9  # seconds


@dataclass(frozen=True, slots=True)
class TrackMask:
    """Labels of a sound, in a label track.

    Attributes:
        path: Of the track.
        sound: Its sound.
        label_set: The classes by name.
        sample_rate: Hz, at which the sound is read.
    """

    path: Path
    sound: Path
    label_set: LabelSet
    sample_rate: int

    def read(self) -> UInt8[np.ndarray, " t"]:
        """The class of every sample.

        Raises:
            DataError: As `read_label_track`, or if the sound cannot be read.
        """
        rate = self.sample_rate
        number = num_samples_of(self.sound, sample_rate=rate)
        return read_label_track(self.path, self.label_set, num_samples=number, sample_rate=rate)


def read_label_track(
    path: Path, label_set: LabelSet, *, num_samples: int, sample_rate: int
) -> UInt8[np.ndarray, " t"]:
    """The class of every sample; the first class where no line says more.

    Args:
        path: Lines of begin, end and class name, apart by tabs.
        label_set: The classes by name.
        num_samples: Of the sound.
        sample_rate: Samples a second, Hz.

    Raises:
        DataError: If the file is missing, a line is none, a class is unknown, or stretches of two classes
            overlap.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); export a label track from Audacity") from error
    labels = np.zeros(num_samples, np.uint8)
    taken = np.zeros(num_samples, bool)
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("\\"):  # a line of frequencies, which Audacity adds
            continue
        begin, end, name = _stretch(line, f"line {number} of {path}")
        if name not in label_set.names:
            raise DataError(
                f'line {number} of {path} is of "{name}"; labels.toml knows {", ".join(label_set.names)}'
            )
        if begin * sample_rate >= max(1, num_samples):
            raise DataError(
                f"line {number} of {path} begins at {begin:g} s, and the sound ends at "
                f"{num_samples / sample_rate:g} s; is it the track of another sound?"
            )
        label = label_set.names.index(name)
        stretch = slice(round(begin * sample_rate), round(end * sample_rate))
        if (labels[stretch][taken[stretch]] != label).any():
            raise DataError(f"line {number} of {path} overlaps one of another class; a sample has one")
        labels[stretch], taken[stretch] = label, True
    return labels


def write_label_track(
    path: Path, stretches: Sequence[tuple[int, int, int]], label_set: LabelSet, *, sample_rate: int
) -> None:
    """Write stretches of classes.

    Args:
        path: Of the file.
        stretches: First sample, the one past the last, and the class of each.
        label_set: Names of the classes.
        sample_rate: Samples a second, Hz.

    Raises:
        OutputError: If the file cannot be written.
    """
    lines = [
        f"{begin / sample_rate:.6f}\t{end / sample_rate:.6f}\t{label_set.names[label]}\n"
        for begin, end, label in stretches
    ]
    write_text(path, "".join(lines))


def _stretch(line: str, place: str) -> tuple[float, float, str]:
    """Begin and end in seconds, and the class.

    Raises:
        DataError: If the line is something else.
    """
    begin, _, rest = line.partition("\t")
    end, _, name = rest.partition("\t")
    try:
        first, last = float(begin.replace(",", ".")), float(end.replace(",", "."))
    except ValueError as error:
        raise DataError(
            f"{place} is {line!r}; write begin and end in seconds and a class, apart by tabs"
        ) from error
    if not 0 <= first <= last < LONGEST:
        raise DataError(f"{place} is from {first} to {last} s; let it begin at 0 or later, and end after")
    return first, last, name.strip()
