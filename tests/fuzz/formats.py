"""Every format that is read: whole files of it, what reads them, and how they are damaged."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from fuzz.jail import Limits
from fuzz.mutations import damaged

Damage = Callable[[bytes, np.random.Generator], bytes]


@dataclass(frozen=True)
class Format:
    """Files of one kind.

    Attributes:
        name: Of the test.
        suffix: Of the file.
        reader: "module:function", called in the child process.
        wholes: Files that are read without an error.
        damages: Ways of damaging one, taken by turns.
        beside: Contents of files of the same stem, by suffix.
        limits: What reading a damaged file may take.
    """

    name: str
    suffix: str
    reader: str
    wholes: Callable[[], list[bytes]]
    damages: tuple[Damage, ...] = (damaged,)
    beside: Callable[[], Mapping[str, bytes]] = dict
    limits: Limits = field(default_factory=Limits)

    def damaged_files(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Damaged files by number; a number's file is always the same."""
        wholes = self.wholes()
        for number in range(start, stop):
            random = np.random.default_rng([number, *self.name.encode()])
            damage = self.damages[number % len(self.damages)]
            yield number, damage(wholes[number // len(self.damages) % len(wholes)], random)


def all_formats() -> dict[str, Format]:
    """Every format by name."""
    from fuzz.array_formats import ARRAYS
    from fuzz.image_formats import IMAGES
    from fuzz.network_formats import NETWORKS
    from fuzz.text_formats import TEXTS

    return {kind.name: kind for kind in (*IMAGES, *ARRAYS, *TEXTS, *NETWORKS)}
