"""The one place where a data set, a checkpoint or stored scores lead to their task."""

from pathlib import Path
from typing import Any

from atrous.data.meaning import Meaning
from atrous.data.open import open_dataset
from atrous.data.open_measured import open_measured
from atrous.data.quantity import MeasuredSamples, Quantity
from atrous.data.recordings import open_recordings
from atrous.data.samples import AnySamples
from atrous.data.voice import TASK, Recordings, Voice
from atrous.evaluation.generation import GenerationScores
from atrous.evaluation.metrics import Scores
from atrous.evaluation.regression import RegressionScores
from atrous.jobs.generation_task import Generation
from atrous.jobs.regression_task import Regression
from atrous.jobs.segmentation_task import Segmentation
from atrous.jobs.task import AnyScores, Task


def task_of(meaning: Meaning) -> Task:
    """The task of a network whose outputs mean this."""
    if isinstance(meaning, Voice):
        return Generation(meaning)
    return Regression(meaning) if isinstance(meaning, Quantity) else Segmentation(meaning)


def meaning_of_samples(samples: AnySamples) -> Meaning:
    """What a network's outputs mean that learns from the samples."""
    if isinstance(samples, Recordings):
        return samples.voice
    return samples.quantity if isinstance(samples, MeasuredSamples) else samples.label_set


def open_samples(path: Path, split: str, *, task: str) -> AnySamples:
    """A split of a data set, opened for a task.

    Raises:
        DataError: If there is none for this task.
    """
    if task == TASK:
        return open_recordings(path, split)
    return open_measured(path, split) if task == "regression" else open_dataset(path, split)


def scores_of(fields: dict[str, Any]) -> AnyScores:
    """The inverse of `to_dict` of the scores of any task."""
    if "bits" in fields:
        return GenerationScores.from_dict(fields)
    return RegressionScores.from_dict(fields) if "quantity" in fields else Scores.from_dict(fields)
