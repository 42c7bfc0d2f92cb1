"""Losses of values against their definitions, written out pixel by pixel in float64."""

import math

import numpy as np
import pytest
import torch

from atrous.errors import ConfigError
from atrous.training.regression_losses import (
    REGRESSION_LOSSES,
    berhu,
    build_regression_loss,
    count_measured,
    l1,
    silog,
)

LOSSES = pytest.mark.parametrize("name", REGRESSION_LOSSES)


def random_batch(seed, *, channels=1, missing=0.3, dtype=torch.float64):
    """Values, or logarithms, and positive targets that are NaN in all channels of some pixels."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(3, channels, 4, 5, generator=generator, dtype=dtype)
    targets = torch.rand(3, channels, 4, 5, generator=generator, dtype=dtype) * 4 + 0.5
    hidden = torch.rand(3, 1, 4, 5, generator=generator) < missing
    return values, targets.masked_fill(hidden, math.nan)


def measured_errors(values, targets):
    """|value - target| of the measured pixels, (n, k)."""
    differences = (values - targets).abs().movedim(1, -1).reshape(-1, values.shape[1]).numpy()
    return differences[np.isfinite(differences).all(1)]


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_silog_is_equation_4_of_eigen(weight):
    logs, targets = random_batch(0)
    total, count = 0.0, 0
    for image, truth in zip(logs, targets, strict=True):
        d = [
            v - math.log(t)
            for v, t in zip(image.ravel().tolist(), truth.ravel().tolist(), strict=True)
            if t == t
        ]
        n = len(d)
        total += n * (sum(x * x for x in d) / n - weight * sum(d) ** 2 / n**2)
        count += n
    assert float(silog(logs, targets, weight=weight)) == pytest.approx(total / count, rel=1e-12)


def test_silog_of_weight_1_forgives_a_factor_of_each_image():
    logs, targets = random_batch(1)
    factors = torch.tensor([0.1, 1.0, 20.0], dtype=torch.float64).view(3, 1, 1, 1)
    plain, scaled = silog(logs, targets, weight=1.0), silog(logs + factors.log(), targets, weight=1.0)
    torch.testing.assert_close(scaled, plain)
    assert silog(logs + factors.log(), targets) > silog(logs, targets) + 0.1


@pytest.mark.parametrize("channels", [1, 2])
def test_l1_is_the_mean_of_absolute_errors(channels):
    values, targets = random_batch(2, channels=channels)
    assert float(l1(values, targets)) == pytest.approx(measured_errors(values, targets).sum(1).mean())


@pytest.mark.parametrize("channels", [1, 2])
def test_berhu_is_equation_2_of_laina(channels):
    values, targets = random_batch(3, channels=channels)
    errors = measured_errors(values, targets)
    c = errors.max() / 5
    by_hand = [[x if x <= c else (x * x + c * c) / (2 * c) for x in pixel] for pixel in errors.tolist()]
    assert float(berhu(values, targets)) == pytest.approx(np.sum(by_hand) / len(by_hand))


@LOSSES
def test_gradients_are_those_of_finite_differences(name):
    values, targets = random_batch(4)
    if name == "berhu":  # its threshold is a constant to the gradient: keep the largest error fixed
        values[0, 0, 0, 0], targets[0, 0, 0, 0] = 60.0, 1.0
        free = values[1:].clone().requires_grad_()
        inputs = (free,)

        def loss(free):
            return berhu(torch.cat([values[:1], free]), targets)
    else:
        inputs = (values.requires_grad_(),)

        def loss(free):
            return REGRESSION_LOSSES[name](free, targets)

    assert torch.autograd.gradcheck(loss, inputs)


@LOSSES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_without_a_measured_pixel_loss_and_gradient_are_exactly_zero(name, dtype):
    outputs = torch.randn(2, 1, 3, 3, dtype=dtype, requires_grad=True)
    loss = build_regression_loss(name, is_log=True)(outputs, torch.full((2, 1, 3, 3), math.nan))
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert float(loss.detach()) == 0
    assert not gradient.any()


@LOSSES
def test_what_is_not_measured_changes_neither_loss_nor_gradient(name):
    outputs, targets = random_batch(5)
    loss = build_regression_loss(name, is_log=True)
    hidden = targets.isnan()
    other = outputs.masked_fill(hidden, 1000.0)  # whose exponential is infinite
    (first,), (second,) = (
        torch.autograd.grad(loss(each, targets), each)
        for each in (outputs.requires_grad_(), other.requires_grad_())
    )
    assert torch.equal(loss(outputs, targets), loss(other, targets))
    assert torch.equal(first, second)
    assert not first[hidden].any()
    assert first[~hidden].isfinite().all()


@LOSSES
def test_where_all_is_right_the_loss_is_zero_and_the_gradient_finite(name):
    _, targets = random_batch(6, missing=0.0)
    outputs = targets.log().requires_grad_()
    loss = build_regression_loss(name, is_log=True)(outputs, targets)
    assert float(loss.detach()) == pytest.approx(0, abs=1e-12)
    assert torch.autograd.grad(loss, outputs)[0].isfinite().all()


@pytest.mark.parametrize("name", ["silog", "l1"])
def test_losses_of_parts_add_up_by_their_measured_pixels(name):
    outputs, targets = random_batch(7)
    loss = REGRESSION_LOSSES[name]
    parts = [(outputs[:1], targets[:1]), (outputs[1:], targets[1:])]
    weighted = sum(loss(*part) * count_measured(part[1]) for part in parts) / count_measured(targets)
    torch.testing.assert_close(weighted, loss(outputs, targets))


def test_a_pixel_counts_where_all_of_its_channels_are_measured():
    targets = torch.ones(1, 2, 1, 3)
    targets[0, 1, 0, 0] = math.nan
    assert count_measured(targets) == 2
    assert float(l1(torch.zeros(1, 2, 1, 3), targets)) == 2.0


def test_a_sum_of_losses_is_their_sum():
    outputs, targets = random_batch(8)
    loss = build_regression_loss("silog + l1", is_log=True)
    torch.testing.assert_close(loss(outputs, targets), silog(outputs, targets) + l1(outputs.exp(), targets))


@pytest.mark.parametrize(
    ("spec", "is_log", "message"),
    [
        ("cross_entropy", True, r"names 'cross_entropy', and a regression takes one of silog, l1, berhu"),
        ("silog", False, r"is of logarithms, and flow has signs; use l1 or berhu"),
    ],
)
def test_build_regression_loss_refuses(spec, is_log, message):
    with pytest.raises(ConfigError, match=message):
        build_regression_loss(spec, is_log=is_log)
