"""A sound and the label track that it becomes, read and labeled block by block."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from atrous.data.label_tracks import write_label_track
from atrous.data.places import Place, write_at
from atrous.errors import DataError
from atrous.inference.work import Part

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

Stretch = tuple[int, int, int]
"""First sample, the one past the last, and the class."""


@dataclass(frozen=True, slots=True)
class SoundWork:
    """A sound file to label; see `Work`.

    Attributes:
        source: The file.
        track: Text of begin, end and class of every stretch, in seconds, as Audacity reads it.
    """

    source: Place
    track: Place

    @property
    def outputs(self) -> tuple[Place, ...]:
        """What is written."""
        return (self.track,)

    def read(self) -> None:
        """Nothing ahead: it may be longer than memory."""

    def predict(
        self,
        predictor: "Predictor",
        content: None,  # noqa: ARG002
    ) -> Generator[Part, None, tuple[list[Stretch], "Predictor"]]:
        """Stretches of one class, the network's own rate, and what they are called.

        Raises:
            DataError: If the sound cannot be read, or lies behind an address.
        """
        from atrous.data.sound import num_samples_of, read_blocks  # heavy, and for sounds alone
        from atrous.inference.sound_prediction import label_blocks
        from atrous.models.companding import Companding

        if not isinstance(self.source, Path):
            raise DataError(f"{self.source} is behind an address; copy the sound to this machine first")
        companding = predictor.network.normalization
        if not isinstance(companding, Companding):
            raise DataError(f"{self.source} is a sound, and the network labels none; give one for sounds")
        rate = companding.sample_rate
        total = num_samples_of(self.source, sample_rate=rate)
        blocks = read_blocks(self.source, sample_rate=rate)
        labels = label_blocks(predictor.network, predictor.engine, blocks, device=predictor.device)
        stretches: list[Stretch] = []
        for done in gather(labels, stretches):
            yield Part(self.source, done, total)
        return stretches, predictor

    def write(self, result: "tuple[list[Stretch], Predictor]") -> None:
        """Write the track.

        Raises:
            OutputError: If it cannot be written.
        """
        stretches, predictor = result
        rate = predictor.network.normalization.sample_rate  # type: ignore[union-attr]
        write_at(
            self.track,
            lambda path: write_label_track(path, stretches, predictor.label_set, sample_rate=rate),
        )


def gather(blocks: Iterable[UInt8[np.ndarray, " _n"]], stretches: list[Stretch]) -> Iterator[int]:
    """Stretches of one class in labels that come block by block, filled in; yields the samples so far.

    >>> found = []
    >>> list(gather([np.uint8([0, 0, 1]), np.uint8([1, 1, 0])], found)), found
    ([3, 6], [(0, 2, 0), (2, 5, 1), (5, 6, 0)])
    """
    done = 0
    for block in blocks:
        edges = np.flatnonzero(np.diff(block)) + 1
        begins = [0, *edges.tolist()]
        for begin, end in zip(begins, [*edges.tolist(), len(block)], strict=True):
            label = int(block[begin])
            if stretches and stretches[-1][2] == label:
                stretches[-1] = (stretches[-1][0], done + end, label)
            else:
                stretches.append((done + begin, done + end, label))
        done += len(block)
        yield done
