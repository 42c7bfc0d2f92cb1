"""How depth and motion are scored: what is added up over pixels and images, and the scores of the sums."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

DELTA = 1.25  # Eigen et al. 2014, section 4.3: the share of pixels within this factor, its square, its cube
OUTLIER_PX, OUTLIER_SHARE = 3.0, 0.05  # KITTI 2015: wrong beyond 3 px and 5 % of the motion

Errors = Float64[np.ndarray, " m"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One number that says how good values are.

    Attributes:
        key: In JSON.
        label: In text.
        factor: From the number to what is printed.
        unit: Of what is printed; "{unit}" is that of the quantity.
    """

    key: str
    label: str
    factor: float = 1.0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Measures:
    """How values of a kind are scored; the first of the scores decides which checkpoint is the best.

    Attributes:
        sums_of: (values, truth) of the measured pixels of an image, (k, n) each -> what is added up.
        scores_of: Those sums -> the scores, in the order of `shown`.
        shown: The scores.
        num_sums: Length of what is added up.
    """

    sums_of: Callable[[np.ndarray, np.ndarray], Errors]
    scores_of: Callable[[Errors], tuple[float, ...]]
    shown: tuple[Measure, ...]
    num_sums: int


def _depth_sums(values: Float64[np.ndarray, "1 n"], truth: Float64[np.ndarray, "1 n"]) -> Errors:
    errors, ratios = values - truth, np.maximum(values / truth, truth / values)
    logs = np.log(values) - np.log(truth)
    silog = np.sqrt(np.maximum(0.0, np.square(logs).mean() - logs.mean() ** 2))
    within = [(ratios < DELTA**power).sum() for power in (1, 2, 3)]
    return np.array(
        [truth.size, 1, (np.abs(errors) / truth).sum(), np.square(errors).sum(), silog, *within], np.float64
    )


def _depth_scores(sums: Errors) -> tuple[float, ...]:
    pixels, images, absolute, squares, silog, *within = sums.tolist()
    return absolute / pixels, (squares / pixels) ** 0.5, silog / images, *(each / pixels for each in within)


def _flow_sums(values: Float64[np.ndarray, "2 n"], truth: Float64[np.ndarray, "2 n"]) -> Errors:
    distances = np.hypot(*(values - truth))
    wrong = (distances > OUTLIER_PX) & (distances > OUTLIER_SHARE * np.hypot(*truth))
    return np.array([len(distances), distances.sum(), np.square(distances).sum(), wrong.sum()], np.float64)


def _flow_scores(sums: Errors) -> tuple[float, ...]:
    pixels, distances, squares, wrong = sums.tolist()
    return distances / pixels, (squares / pixels) ** 0.5, wrong / pixels


MEASURES: dict[str, Measures] = {
    "depth": Measures(
        _depth_sums,
        _depth_scores,
        (
            Measure("abs_rel", "absolute relative error"),
            Measure("rmse", "root mean squared error", unit="{unit}"),
            Measure("silog", "scale-invariant log error, x100", 100),
            Measure("delta_1", "within a factor of 1.25", 100, "%"),
            Measure("delta_2", "within a factor of 1.25^2", 100, "%"),
            Measure("delta_3", "within a factor of 1.25^3", 100, "%"),
        ),
        num_sums=8,
    ),
    "flow": Measures(
        _flow_sums,
        _flow_scores,
        (
            Measure("end_point_error", "end-point error", unit="{unit}"),
            Measure("rmse", "root mean squared end-point error", unit="{unit}"),
            Measure("outliers", "off by over 3 px and 5 %", 100, "%"),
        ),
        num_sums=4,
    ),
}
