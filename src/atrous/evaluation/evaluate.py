"""Scores of a predictor on a data set."""

from collections.abc import Iterator, Sequence

from atrous.data.labels import LabelSet
from atrous.data.order import in_order_of
from atrous.data.samples import Samples
from atrous.errors import DataError
from atrous.evaluation.metrics import Counts, Scores
from atrous.inference.predictor import Predictor


def evaluate(predictor: Predictor, dataset: Samples) -> Scores:
    """Scores of the predictor's label maps against the labels of every sample.

    Classes are matched by name: data in another order are brought into the predictor's. Where one side has
    no names, position is all there is.

    Args:
        predictor: With the classes of the data set.
        dataset: At least one sample.

    Raises:
        DataError: If the classes differ, or the data set is empty or cannot be read.
    """
    counts = sum(count_each(predictor, dataset), start=Counts.zeros(predictor.label_set.num_classes))
    return Scores.from_counts(counts, names=predictor.label_set.names)


def count_each(
    predictor: Predictor, dataset: Samples, *, indices: Sequence[int] | None = None
) -> Iterator[Counts]:
    """The counts of one sample after the other; their sum makes the scores.

    Args:
        predictor: With the classes of the data set.
        dataset: At least one sample.
        indices: Numbers of the samples; all unless given.

    Raises:
        DataError: As `evaluate`.
    """
    dataset = matched(dataset, predictor.label_set)
    for index in range(len(dataset)) if indices is None else indices:
        sample = dataset[index]
        prediction = predictor(sample.image)
        yield Counts.of_image(
            prediction.label_map,
            sample.labels,
            num_classes=predictor.label_set.num_classes,
            spacing=sample.spacing,
        )


def matched(dataset: Samples, predicted: LabelSet) -> Samples:
    """The data set with its classes in the order of those that are predicted, by name where both have names.

    Raises:
        DataError: If the classes differ, or there are no samples.
    """
    labelled = dataset.label_set
    if predicted.num_classes != labelled.num_classes:
        raise DataError(
            f"the network has {predicted.num_classes} classes and the data {labelled.num_classes} "
            f"({', '.join(labelled.names[:4])}, ...); evaluate it on data with the classes it was trained on"
        )
    if predicted.names != labelled.names and predicted.is_named and labelled.is_named:
        dataset = in_order_of(dataset, predicted)
    if len(dataset) == 0:
        raise DataError("the data set has no samples; choose another split")
    return dataset
