"""Scores of a predictor on a data set."""

from collections.abc import Iterator, Sequence

from atrous.data.samples import Samples
from atrous.errors import DataError
from atrous.evaluation.metrics import Counts, Scores
from atrous.inference.predictor import Predictor


def evaluate(predictor: Predictor, dataset: Samples) -> Scores:
    """Scores of the predictor's label maps against the labels of every sample.

    Args:
        predictor: With as many classes as the data set.
        dataset: At least one sample.

    Raises:
        DataError: If the classes differ in number, or the data set is empty or cannot be read.
    """
    counts = sum(count_each(predictor, dataset), start=Counts.zeros(predictor.label_set.num_classes))
    return Scores.from_counts(counts, names=predictor.label_set.names)


def count_each(
    predictor: Predictor, dataset: Samples, *, indices: Sequence[int] | None = None
) -> Iterator[Counts]:
    """The counts of one sample after the other; their sum makes the scores.

    Args:
        predictor: With as many classes as the data set.
        dataset: At least one sample.
        indices: Numbers of the samples; all unless given.

    Raises:
        DataError: As `evaluate`.
    """
    predicted, labelled = predictor.label_set, dataset.label_set
    if predicted.num_classes != labelled.num_classes:
        raise DataError(
            f"the network has {predicted.num_classes} classes and the data {labelled.num_classes} "
            f"({', '.join(labelled.names[:4])}, ...); evaluate it on data with the classes it was trained on"
        )
    if predicted.names != labelled.names and set(predicted.names) == set(labelled.names):
        raise DataError(
            f"the network's classes are {', '.join(predicted.names)}, and the data have the same in another "
            f"order: {', '.join(labelled.names)}; bring labels.toml and masks into the network's order"
        )
    if len(dataset) == 0:
        raise DataError("the data set has no samples; choose another split")
    for index in range(len(dataset)) if indices is None else indices:
        sample = dataset[index]
        prediction = predictor(sample.image)
        yield Counts.of_image(prediction.label_map, sample.labels, num_classes=predicted.num_classes)
