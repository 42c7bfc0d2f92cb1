"""Scores of label maps: confusion matrix, IoU, accuracies and boundary F-score.

Everything is counted in integers first (`Counts`), which add up over images and ranks, and turned into
`Scores` once at the end. Numpy only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, Integer

from atrous.data.labels import BACKGROUND, IGNORE
from atrous.errors import ConfigError, DataError, ShapeError
from atrous.evaluation.boundary import boundary_counts


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """What was seen, in pixels; add the counts of images or ranks with `+`.

    Attributes:
        confusion: (k, k); row = class in the truth, column = class in the label map.
        boundary: (k, 4); a class's boundary pixels in the label map, those of them near a boundary of that
            class in the truth, its boundary pixels in the truth, those of them near one in the label map.
    """

    confusion: Int64[np.ndarray, "k k"]
    boundary: Int64[np.ndarray, "k 4"]

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.confusion + other.confusion, self.boundary + other.boundary)

    @classmethod
    def zeros(cls, num_classes: int) -> "Counts":
        """Counts of no image, where a sum starts."""
        return cls(np.zeros((num_classes, num_classes), np.int64), np.zeros((num_classes, 4), np.int64))

    @classmethod
    def of_image(
        cls,
        label_map: Integer[np.ndarray, "*spatial"],
        labels: Integer[np.ndarray, "*spatial"],
        num_classes: int,
        *,
        spacing: Sequence[float] = (),
    ) -> "Counts":
        """Counts of one image or volume; arguments and errors as those of `confusion_matrix`."""
        confusion = confusion_matrix(label_map, labels, num_classes)
        return cls(confusion, boundary_counts(label_map, labels, num_classes, spacing=spacing))


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """How good label maps are; every number is in [0, 1] and never NaN.

    Means over classes are taken over the classes that the truth shows. A class that it does not show has no
    accuracy, and an IoU (0) only by mistakes that its neighbors pay for already, so it is named in
    `absent_classes` instead. Where the truth shows no class at all, every score is 0.

    Attributes:
        mean_iou: Mean over classes of intersection over union.
        per_class_iou: Name -> IoU, of every class that the truth or a label map shows, in the order of the
            data set.
        absent_classes: Names of the classes that the truth does not show.
        pixel_accuracy: Share of labeled pixels that are right.
        mean_class_accuracy: Mean over classes of the share of its pixels that are right.
        frequency_weighted_iou: IoU weighted by the class's share of the labeled pixels.
        boundary_f_score: Mean over classes of the F-score of its boundary pixels, see `boundary_counts`.
        confusion_matrix: Pixels (k, k); row = class in the truth, column = class in the label map.
    """

    mean_iou: float
    per_class_iou: dict[str, float]
    absent_classes: tuple[str, ...]
    pixel_accuracy: float
    mean_class_accuracy: float
    frequency_weighted_iou: float
    boundary_f_score: float
    confusion_matrix: Int64[np.ndarray, "k k"]

    @classmethod
    def from_counts(cls, counts: Counts, *, names: tuple[str, ...]) -> "Scores":
        """Scores of everything counted; `names` are those of the classes.

        Raises:
            ConfigError: If the number of names is not that of the classes, or a name appears twice.
        """
        matrix = counts.confusion
        if len(set(names)) != len(matrix):
            raise ConfigError(
                f"{len(set(names))} different names for {len(matrix)} classes; give one each: {names}"
            )
        right, in_truth, in_map = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
        num_pixels = max(1, matrix.sum())
        iou = _ratio(right, in_truth + in_map - right)
        present = in_truth > 0
        shown = np.flatnonzero(in_truth + in_map)
        return cls(
            mean_iou=_mean(iou[present]),
            per_class_iou={names[index]: float(iou[index]) for index in shown},
            absent_classes=tuple(names[index] for index in np.flatnonzero(~present)),
            pixel_accuracy=float(right.sum() / num_pixels),
            mean_class_accuracy=_mean(_ratio(right, in_truth)[present]),
            frequency_weighted_iou=float((in_truth * iou).sum() / num_pixels),
            boundary_f_score=_mean(_boundary_f_scores(counts.boundary)[present]),
            confusion_matrix=matrix,
        )

    @property
    def per_class_dice(self) -> dict[str, float]:
        """Name -> Dice, 2 |A and B| / (|A| + |B|), of the classes of `per_class_iou`; it follows from IoU."""
        return {name: 2 * iou / (1 + iou) for name, iou in self.per_class_iou.items()}

    @property
    def foreground_dice(self) -> float | None:
        """Mean Dice over the classes that the truth shows without the first, if that is called background."""
        names = self._shown_by_truth
        if len(names) < 2 or names[0].casefold() != BACKGROUND:
            return None
        return _mean(np.array([self.per_class_dice[name] for name in names[1:]]))

    @property
    def _shown_by_truth(self) -> tuple[str, ...]:
        return tuple(name for name in self.per_class_iou if name not in self.absent_classes)

    @property
    def figure(self) -> float:
        """The score that decides which network is the best: mean IoU."""
        return self.mean_iou

    @property
    def goodness(self) -> float:
        """Larger is better."""
        return self.mean_iou

    @property
    def headline(self) -> tuple[str, str]:
        """Name and text of the score that decides."""
        return "mean IoU", f"{100 * self.mean_iou:.1f}"

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Scores":
        """The inverse of `to_dict`."""
        matrix = np.array(fields["confusion_matrix"], np.int64)
        stored = {item.name: fields[item.name] for item in dataclass_fields(cls)}
        return cls(**stored | {"absent_classes": tuple(fields["absent_classes"]), "confusion_matrix": matrix})

    def to_dict(self) -> dict[str, object]:
        """The same, ready for JSON: the attributes' names as keys, lists for arrays; and Dice."""
        return {
            "mean_iou": self.mean_iou,
            "per_class_iou": dict(self.per_class_iou),
            "absent_classes": list(self.absent_classes),
            "pixel_accuracy": self.pixel_accuracy,
            "mean_class_accuracy": self.mean_class_accuracy,
            "frequency_weighted_iou": self.frequency_weighted_iou,
            "boundary_f_score": self.boundary_f_score,
            "confusion_matrix": self.confusion_matrix.tolist(),
            "per_class_dice": self.per_class_dice,
            "foreground_dice": self.foreground_dice,
        }

    def to_table(self) -> str:
        """The same as text, in percent: a line a class, then the means."""
        in_truth, in_map = self.confusion_matrix.sum(1), self.confusion_matrix.sum(0)
        accuracy = _ratio(self.confusion_matrix.diagonal(), in_truth)
        share = in_truth / max(1, in_truth.sum())
        indices = np.flatnonzero(in_truth + in_map)  # of the keys of per_class_iou, in their order
        summary = {
            "pixel accuracy": self.pixel_accuracy,
            "frequency-weighted IoU": self.frequency_weighted_iou,
            "boundary F-score": self.boundary_f_score,
        }
        if self.foreground_dice is not None:
            summary["Dice without background"] = self.foreground_dice
        width = max(len(name) for name in (*self.per_class_iou, *summary))
        lines = [f"{'class':<{width}}  {'IoU':>6}  {'Dice':>6}  {'accuracy':>8}  {'pixels':>6}"]
        for (name, iou), index in zip(self.per_class_iou.items(), indices, strict=True):
            overlaps = f"{100 * iou:6.1f}  {100 * self.per_class_dice[name]:6.1f}"
            right = f"{100 * accuracy[index]:.1f}" if in_truth[index] else "-"
            lines.append(f"{name:<{width}}  {overlaps}  {right:>8}  {100 * share[index]:6.1f}")
        dice = _mean(np.array([self.per_class_dice[name] for name in self._shown_by_truth]))
        overlaps = f"{100 * self.mean_iou:6.1f}  {100 * dice:6.1f}"
        lines.append(f"{'mean':<{width}}  {overlaps}  {100 * self.mean_class_accuracy:8.1f}")
        lines.append("")
        lines += [f"{name:<{width}}  {100 * value:6.1f}" for name, value in summary.items()]
        if self.absent_classes:
            lines.append(f"not in the truth, not in the means: {', '.join(self.absent_classes)}")
        return "\n".join(lines)


def confusion_matrix(
    label_map: Integer[np.ndarray, "..."], labels: Integer[np.ndarray, "..."], num_classes: int
) -> Int64[np.ndarray, "k k"]:
    """Pixels of one image by true class (row) and predicted class (column).

    Args:
        label_map: Predicted classes, 0..num_classes-1 everywhere.
        labels: True classes, or 255 where nothing counts.
        num_classes: k.

    Returns:
        Counts (k, k).

    Raises:
        ShapeError: If the two differ in size.
        DataError: If the one or the other holds a class beyond k.
    """
    if label_map.shape != labels.shape:
        raise ShapeError(
            f"label map {label_map.shape} and labels {labels.shape} differ in size; bring the label map to "
            "the size of the labels"
        )
    valid = labels != IGNORE
    truth, predicted = labels[valid].astype(np.int64), label_map[valid].astype(np.int64)
    for what, classes in (("labels hold", truth), ("label map holds", predicted)):
        if classes.size and not 0 <= classes.min() <= classes.max() < num_classes:
            span = f"{classes.min()}..{classes.max()}"
            raise DataError(f"{what} classes {span}, but there are {num_classes}; use 0..{num_classes - 1}")
    counts = np.bincount(truth * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def _boundary_f_scores(boundary: Int64[np.ndarray, "k 4"]) -> Float[np.ndarray, " k"]:
    """Harmonic mean of precision and recall; 1 for a class without any boundary on either side."""
    in_map, near_truth, in_truth, near_map = boundary.T
    precision, recall = _ratio(near_truth, in_map), _ratio(near_map, in_truth)
    scores = _ratio(2 * precision * recall, precision + recall)
    return np.where(in_map + in_truth == 0, 1.0, scores)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part / whole in float64; 0 where the whole, and so the part, is 0."""
    return part / np.where(whole == 0, 1, whole)


def _mean(values: Float[np.ndarray, " n"]) -> float:
    return float(values.mean()) if len(values) else 0.0
