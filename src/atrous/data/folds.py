"""Folds of a split, for scores over a whole small data set: "fold0of5", and the rest, "not-fold0of5"."""

import re
from dataclasses import dataclass, replace

from atrous.data.folder import Dataset
from atrous.errors import DataError

_NAME = re.compile(r"(?P<rest>not-)?fold(?P<number>\d+)of(?P<count>\d+)")


@dataclass(frozen=True, slots=True)
class Fold:
    """One of `count` parts of the split train, or all but it.

    Attributes:
        number: 0-based.
        count: Parts in all.
        is_rest: Whether it is all but that part.
    """

    number: int
    count: int
    is_rest: bool = False

    def of(self, dataset: Dataset, *, source: str) -> Dataset:
        """Its pairs: those of consecutive names, as even in number as can be.

        So slices of a scan, or frames of a video, stay in one part, but for those at its two ends.

        Raises:
            DataError: If there are fewer pairs than parts.
        """
        pairs = sorted(dataset.pairs, key=lambda pair: pair.name)
        if len(pairs) < self.count:
            raise DataError(
                f"{source} has {len(pairs)} samples, too few for {self.count} folds; ask for fewer"
            )
        first, stop = (len(pairs) * place // self.count for place in (self.number, self.number + 1))
        chosen = pairs[:first] + pairs[stop:] if self.is_rest else pairs[first:stop]
        return replace(dataset, pairs=tuple(chosen))


def parse_fold(split: str) -> Fold | None:
    """The fold that a split's name stands for; None for any other name.

    >>> parse_fold("not-fold0of5")
    Fold(number=0, count=5, is_rest=True)

    Raises:
        DataError: If there is no such fold.
    """
    found = _NAME.fullmatch(split)
    if found is None:
        return None
    number, count = int(found["number"]), int(found["count"])
    if count < 2:
        raise DataError(f'there is no "{split}"; a fold is one of at least 2, as fold0of5')
    if number >= count:
        raise DataError(f'there is no "{split}"; folds are counted from 0, as fold0of5 to fold4of5')
    return Fold(number, count, bool(found["rest"]))
