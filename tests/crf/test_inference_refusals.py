"""What mean field refuses, and unaries made of labels."""

import numpy as np
import pytest
import torch

from atrous.crf.inference_steps import build_filters, check_steps, mean_field, refine_logits
from atrous.crf.kernels import Spatial, as_kernels
from atrous.crf.unary import unary_from_labels
from atrous.errors import ConfigError, ShapeError
from crf.scenes import KERNELS, scene


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_scores_must_be_finite(value):
    logits, images = scene((5, 5))
    logits[0, 1, 2, 3] = value
    with pytest.raises(ShapeError, match="logits are not all finite; clamp"):
        mean_field(logits, images, kernels=KERNELS)


@pytest.mark.parametrize("shape", [(1, 3, 5, 6), (2, 3, 5, 5), (1, 3, 5), (1, 3, 5, 5, 1)])
def test_images_must_be_of_the_size_of_logits(shape):
    logits, _ = scene((5, 5))
    with pytest.raises(ShapeError, match=r"images .* do not fit logits \(1, 3, 5, 5\)"):
        mean_field(logits, torch.zeros(shape), kernels=KERNELS)


def test_images_must_be_finite():
    logits, images = scene((5, 5))
    with pytest.raises(ShapeError, match="not all finite"):
        mean_field(logits, images / torch.tensor(0.0), kernels=KERNELS)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 0, 5), (0, 3, 5), (1, 2, 2, 2, 2, 2)])
def test_logits_must_have_pixels_on_one_to_three_axes(shape):
    with pytest.raises(ShapeError, match="give \\(b, k, \\*spatial\\) with one to three spatial axes"):
        mean_field(torch.zeros(shape), kernels=[Spatial()])


def test_bilateral_needs_images():
    with pytest.raises(ShapeError, match="a Bilateral kernel has no images"):
        mean_field(torch.zeros(1, 2, 4, 4), kernels=KERNELS)


@pytest.mark.parametrize("shape", [(2,), (4,), (2, 3), (4, 4), (3, 3, 3), ()])
def test_compatibility_must_fit_the_classes(shape):
    logits, images = scene((5, 5))
    with pytest.raises(ShapeError, match=r"does not fit 3 classes; give \(3, 3\) or \(3,\)"):
        mean_field(logits, images, kernels=KERNELS, compatibility=torch.zeros(shape, dtype=torch.float64))


def test_compatibility_must_be_finite():
    logits, images = scene((5, 5))
    with pytest.raises(ShapeError, match="compatibility is not all finite"):
        mean_field(logits, images, kernels=KERNELS, compatibility=torch.full((3,), torch.nan))


def test_learned_weights_must_be_finite():
    logits, images = scene((5, 5))
    filters = build_filters(logits, images, kernels=KERNELS)
    with pytest.raises(ShapeError, match="weights of kernels are not all finite"):
        refine_logits(logits, filters, weights=torch.tensor([1.0, torch.inf]))


def test_settings_that_make_no_sense_are_refused():
    logits, images = scene((5, 5))
    with pytest.raises(ConfigError, match="num_steps -1 is no number of updates"):
        mean_field(logits, images, kernels=KERNELS, num_steps=-1)
    with pytest.raises(ConfigError, match="no list of kernels; give some"):
        mean_field(logits, images, kernels=[])


@pytest.mark.parametrize("wrong", [(), Spatial(), ["spatial"], 3, None])
def test_what_are_no_kernels_is_refused(wrong):
    with pytest.raises(ConfigError, match="no list of kernels; give some"):
        as_kernels(wrong)


@pytest.mark.parametrize("wrong", [-1, 1.5, "3", None])
def test_what_is_no_number_of_steps_is_refused(wrong):
    with pytest.raises(ConfigError, match="no number of updates; give a whole number"):
        check_steps(wrong)


def test_costs_of_any_type_are_taken_in_the_precision_of_the_logits():
    logits, images = scene((5, 5))
    num_classes = logits.shape[1]
    costs = 1 - torch.eye(num_classes, dtype=torch.float64)
    expected = mean_field(logits.float(), images, kernels=KERNELS, compatibility=costs.float())
    for given in (costs, costs.long(), costs.half()):
        assert torch.equal(mean_field(logits.float(), images, kernels=KERNELS, compatibility=given), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(mean_field(logits.float(), images, kernels=KERNELS, compatibility=costs), expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_masks_of_any_integers_are_labels(dtype):
    labels = torch.tensor([[[0, 2], [1, 1]]])
    expected = unary_from_labels(labels, num_classes=3, confidence=0.7)
    assert torch.equal(unary_from_labels(labels.to(dtype), num_classes=3, confidence=0.7), expected)
    assert unary_from_labels(labels, num_classes=3, confidence=1e-50).isfinite().all()


def test_labels_become_logits_of_a_confidence():
    labels = torch.tensor([[[0, 2], [255, 1]]])
    logits = unary_from_labels(labels, num_classes=3, confidence=0.7)
    expected = [[[0.7, 0.15], [1 / 3, 0.15]], [[0.15, 0.15], [1 / 3, 0.7]], [[0.15, 0.7], [1 / 3, 0.15]]]
    np.testing.assert_allclose(logits.softmax(1)[0], expected, rtol=1e-6)
    np.testing.assert_allclose(logits.exp()[0], expected, rtol=1e-6)


def test_an_ignored_label_may_be_a_class_by_number():
    logits = unary_from_labels(torch.tensor([[0, 1]]), num_classes=2, confidence=0.9, ignore_index=0)
    np.testing.assert_allclose(logits.exp()[0], [[0.5, 0.1], [0.5, 0.9]], rtol=1e-6)


@pytest.mark.parametrize("label", [3, -1, 254])
def test_labels_beyond_the_classes_are_refused(label):
    with pytest.raises(ShapeError, match=r"labels beyond 0\.\.2, and not 255"):
        unary_from_labels(torch.tensor([[label]]), num_classes=3, confidence=0.7)


@pytest.mark.parametrize(("num_classes", "confidence"), [(1, 0.5), (0, 0.5), (3, 0.0), (3, 1.0), (3, -1)])
def test_confidences_that_make_no_sense_are_refused(num_classes, confidence):
    with pytest.raises(ConfigError, match="give at least 2, and one between 0 and 1"):
        unary_from_labels(
            torch.zeros(1, 2, dtype=torch.int64), num_classes=num_classes, confidence=confidence
        )


def test_nan_confidence_is_refused():
    with pytest.raises(ConfigError):
        unary_from_labels(torch.zeros(1, 2, dtype=torch.int64), num_classes=2, confidence=float("nan"))
