"""What training and evaluation ask of data: samples by number, and what their labels mean."""

from typing import Protocol, runtime_checkable

from atrous.data.folder import Sample
from atrous.data.labels import LabelSet
from atrous.data.quantity import MeasuredSamples
from atrous.data.voice import Recordings


@runtime_checkable
class Samples(Protocol):
    """A split of a data set, on disk or made up; safe to read from several threads."""

    @property
    def label_set(self) -> LabelSet:
        """Names and colors of the classes."""
        ...

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """The sample of that number, 0-based."""
        ...


AnySamples = Samples | MeasuredSamples | Recordings
"""What a network of any task learns from."""
