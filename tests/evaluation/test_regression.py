"""Scores of values against their definitions, one pixel after the other."""

import json
import math

import numpy as np
import pytest

from atrous.data.depth_scenes import DepthScenes
from atrous.data.flow_scenes import NUM_SCENES, FlowScenes
from atrous.data.quantity import DEPTH, FLOW
from atrous.errors import DataError, ShapeError
from atrous.evaluation.regression import RegressionScores, Sums, constant_scores, sum_each
from atrous.inference.predictor import Predictor
from atrous.models.compact import compact


def random_images(channels, *, number=3):
    """Pairs of positive values and measured ones, with other sizes and some pixels that are not measured."""
    for index in range(number):
        generator = np.random.default_rng(index)
        shape = (channels, 4 + index, 5)
        values, truth = (generator.uniform(0.5, 9, shape).astype(np.float32) for _ in range(2))
        truth[:, generator.random(shape[1:]) < 0.3] = np.nan
        yield values, truth


def scored(images, quantity):
    return RegressionScores.from_sums(
        sum((Sums.of_image(values, truth, quantity) for values, truth in images), start=Sums.zeros(quantity)),
        quantity,
    )


def test_scores_of_depth_are_their_definitions():
    pairs, silogs = [], []
    for values, truth in random_images(1):
        own = [(float(v), float(t)) for v, t in zip(values.ravel(), truth.ravel(), strict=True) if t == t]
        d = [math.log(v) - math.log(t) for v, t in own]
        silogs.append(math.sqrt(sum(x * x for x in d) / len(d) - (sum(d) / len(d)) ** 2))
        pairs += own
    n = len(pairs)
    scores = scored(random_images(1), DEPTH)
    expected = {
        "abs_rel": sum(abs(v - t) / t for v, t in pairs) / n,
        "rmse": math.sqrt(sum((v - t) ** 2 for v, t in pairs) / n),
        "silog": sum(silogs) / len(silogs),
        **{f"delta_{p}": sum(max(v / t, t / v) < 1.25**p for v, t in pairs) / n for p in (1, 2, 3)},
    }
    assert scores.values == pytest.approx(expected, rel=1e-9)
    assert scores.num_pixels == n
    assert scores.figure == -scores.goodness == scores.values["abs_rel"]


def test_scores_of_flow_are_their_definitions():
    ends = []
    for values, truth in random_images(2):
        for u, v, true_u, true_v in np.concatenate([values, truth]).reshape(4, -1).T.tolist():
            if not math.isnan(true_u):
                ends.append((math.dist((u, v), (true_u, true_v)), math.hypot(true_u, true_v)))
    scores = scored(random_images(2), FLOW)
    expected = {
        "end_point_error": sum(d for d, _ in ends) / len(ends),
        "rmse": math.sqrt(sum(d * d for d, _ in ends) / len(ends)),
        "outliers": sum(d > 3 and d > 0.05 * length for d, length in ends) / len(ends),
    }
    assert scores.values == pytest.approx(expected, rel=1e-9)
    assert scores.headline == ("end-point error", f"{expected['end_point_error']:.3f} px")


@pytest.mark.parametrize(("quantity", "channels"), [(DEPTH, 1), (FLOW, 2)])
def test_scores_survive_json_and_show_all_numbers(quantity, channels):
    scores = scored(random_images(channels), quantity)
    assert RegressionScores.from_dict(json.loads(json.dumps(scores.to_dict()))) == scores
    assert len(scores.to_table().splitlines()) == len(scores.values) + 1


def test_right_values_are_without_error():
    values, _ = next(random_images(1))
    scores = scored([(values, values)], DEPTH)
    assert scores.values == dict.fromkeys(scores.values, 0.0) | dict.fromkeys(
        ("delta_1", "delta_2", "delta_3"), 1.0
    )


def test_without_a_measured_pixel_nothing_is_scored():
    values = np.ones((1, 2, 2), np.float32)
    with pytest.raises(DataError, match=r"no pixel of the data has a depth"):
        scored([(values, np.full_like(values, np.nan))], DEPTH)
    with pytest.raises(ShapeError, match=r"differ; bring them to one size"):
        Sums.of_image(values, values[:, :1], DEPTH)


def test_sums_are_those_of_what_the_predictor_says():
    predictor = Predictor(compact(1), label_set=DEPTH, device="cpu")
    scenes = DepthScenes("val")
    (first,) = sum_each(predictor, scenes, indices=[4])
    expected = Sums.of_image(predictor(scenes[4].image).values, scenes[4].values, DEPTH)
    np.testing.assert_array_equal(first.sums, expected.sums)


def test_other_quantities_are_refused():
    flow = Predictor(compact(2, in_channels=6), label_set=FLOW, device="cpu")
    with pytest.raises(DataError, match=r"gives flow in px, and the data hold depth in m"):
        next(sum_each(flow, DepthScenes("val")))
    with pytest.raises(DataError, match=r"gives labels, and the data hold flow in px"):
        next(sum_each(Predictor(compact(2), device="cpu"), FlowScenes("val")))


def test_constant_scores_are_those_of_one_value_everywhere(monkeypatch):
    monkeypatch.setitem(NUM_SCENES, "val", 3)
    scenes = FlowScenes("val")
    scores = constant_scores(scenes, np.zeros(2, np.float32))
    lengths = [np.hypot(*scenes[index].values).mean() for index in range(len(scenes))]
    assert scores.figure == pytest.approx(np.mean(lengths), rel=1e-5)
