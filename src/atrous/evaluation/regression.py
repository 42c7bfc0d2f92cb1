"""Scores of depth and of optical flow.

Everything is summed first (`Sums`), which adds up over images and processes, and turned into
`RegressionScores` once at the end. Numpy only, in float64.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from atrous.data.quantity import MeasuredSamples, Quantity
from atrous.errors import DataError, ShapeError
from atrous.evaluation.measures import MEASURES, Errors, Measure
from atrous.inference.predictor import Predictor


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What was seen of a quantity; add those of images or processes with `+`."""

    sums: Errors

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.sums + other.sums)

    @classmethod
    def zeros(cls, quantity: Quantity) -> "Sums":
        """Sums of no image, where adding starts."""
        return cls(np.zeros(MEASURES[quantity.kind].num_sums))

    @classmethod
    def of_image(
        cls, values: Float32[np.ndarray, "k h w"], truth: Float32[np.ndarray, "_ _ _"], quantity: Quantity
    ) -> "Sums":
        """Sums of one image.

        Args:
            values: As predicted, (k, h, w).
            truth: As measured; NaN in all channels of a pixel where nothing was.
            quantity: What they are.

        Raises:
            ShapeError: If the two differ in shape.
        """
        if values.shape != truth.shape:
            raise ShapeError(
                f"values {values.shape} and measured ones {truth.shape} differ; bring them to one size"
            )
        valid = np.isfinite(truth).all(0)
        if not valid.any():
            return cls.zeros(quantity)
        sums_of = MEASURES[quantity.kind].sums_of
        return cls(sums_of(values[:, valid].astype(np.float64), truth[:, valid].astype(np.float64)))


@dataclass(frozen=True, slots=True)
class RegressionScores:
    """How good values are, over all measured pixels of a data set.

    Depth (Eigen et al. 2014, section 4.3): `abs_rel`, the mean of |value - truth| / truth; `rmse`, in its
    unit; `silog`, the standard deviation of the error in logarithms within an image, the mean over images;
    `delta_1`, `delta_2`, `delta_3`, the share of pixels within a factor of 1.25, its square and its cube.
    Flow: `end_point_error`, the mean distance of the ends of the vectors; `rmse`, its root mean square;
    `outliers`, the share of pixels off by more than 3 px and 5 %.

    Attributes:
        kind: Of the quantity.
        unit: Of the quantity.
        num_pixels: Measured pixels.
        values: The scores by name; the first decides which network is the best.
    """

    kind: str
    unit: str
    num_pixels: int
    values: dict[str, float]

    @classmethod
    def from_sums(cls, sums: Sums, quantity: Quantity) -> "RegressionScores":
        """Scores of everything summed.

        Raises:
            DataError: If no pixel was measured.
        """
        if sums.sums[0] == 0:
            raise DataError(
                f"no pixel of the data has a {quantity.kind}, so nothing can be scored; choose another split"
            )
        measures = MEASURES[quantity.kind]
        keys = (measure.key for measure in measures.shown)
        values = dict(zip(keys, measures.scores_of(sums.sums), strict=True))
        return cls(quantity.kind, quantity.unit, int(sums.sums[0]), values)

    @property
    def figure(self) -> float:
        """The score that decides; smaller is better."""
        return next(iter(self.values.values()))

    @property
    def goodness(self) -> float:
        """Larger is better."""
        return -self.figure

    @property
    def headline(self) -> tuple[str, str]:
        """Name and text of the score that decides."""
        measure = MEASURES[self.kind].shown[0]
        return measure.label, f"{self._shown(measure, self.figure)}".rstrip()

    def to_dict(self) -> dict[str, object]:
        """The scores by name, and what they are of, ready for JSON."""
        return {"quantity": self.kind, "unit": self.unit, "num_pixels": self.num_pixels, **self.values}

    @classmethod
    def from_dict(cls, fields: dict[str, object]) -> "RegressionScores":
        """The inverse of `to_dict`."""
        rest = dict(fields)
        kind, unit, pixels = (rest.pop(name) for name in ("quantity", "unit", "num_pixels"))
        values = {name: float(value) for name, value in rest.items()}  # type: ignore[arg-type]
        return cls(str(kind), str(unit), int(pixels), values)  # type: ignore[arg-type]

    def to_table(self) -> str:
        """The scores as text, one a line."""
        shown = MEASURES[self.kind].shown
        width = max(len(measure.label) for measure in shown)
        lines = [
            f"{measure.label:<{width}}  {self._shown(measure, self.values[measure.key]):>8}".rstrip()
            for measure in shown
        ]
        return "\n".join([*lines, f"{'measured pixels':<{width}}  {self.num_pixels:>8,}"])

    def _shown(self, measure: Measure, value: float) -> str:
        digits = 1 if measure.factor == 100 else 3
        return f"{measure.factor * value:.{digits}f} {measure.unit.format(unit=self.unit)}".rstrip()


def sum_each(
    predictor: Predictor, dataset: MeasuredSamples, *, indices: Sequence[int] | None = None
) -> Iterator[Sums]:
    """The sums of one sample after the other; added up they make the scores.

    Args:
        predictor: Of the quantity of the data set.
        dataset: At least one sample.
        indices: Numbers of the samples; all unless given.

    Raises:
        DataError: If the data set is empty, cannot be read, or is of another quantity or unit.
    """
    quantity = predictor.quantity
    if quantity is None or (quantity.kind, quantity.unit) != (dataset.quantity.kind, dataset.quantity.unit):
        gives = "labels" if quantity is None else f"{quantity.kind} in {quantity.unit}"
        raise DataError(
            f"the network gives {gives}, and the data hold {dataset.quantity.kind} in "
            f"{dataset.quantity.unit}; evaluate it on data of what it was trained on"
        )
    if len(dataset) == 0:
        raise DataError("the data set has no samples; choose another split")
    for index in range(len(dataset)) if indices is None else indices:
        sample = dataset[index]
        yield Sums.of_image(predictor(sample.image).values, sample.values, quantity)


def constant_scores(dataset: MeasuredSamples, values: Float[np.ndarray, " k"]) -> RegressionScores:
    """Scores of the same values at every pixel: what has not looked, and so the least to be better than."""
    total = Sums.zeros(dataset.quantity)
    for index in range(len(dataset)):
        truth = dataset[index].values
        guess = np.broadcast_to(values[:, None, None], truth.shape)
        total += Sums.of_image(guess, truth, dataset.quantity)
    return RegressionScores.from_sums(total, dataset.quantity)
