"""Losses against their definitions, written out slowly in float64 numpy."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.errors import ConfigError
from atrous.training.losses import (
    LOSSES,
    build_loss,
    cross_entropy,
    dice,
    focal,
    lovasz,
    median_frequency_weights,
)


def random_batch(seed, *, num_classes=4, size=(5, 7), ignored=0.2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, num_classes, *size, generator=generator, dtype=dtype)
    labels = torch.randint(0, num_classes, (2, *size), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < ignored] = 255
    return logits, labels


def valid_pixels(logits, labels):
    """Probabilities (n, k) and classes (n,) of the valid pixels, by the definition of the softmax."""
    scores = logits.double().numpy().transpose(0, 2, 3, 1).reshape(-1, logits.shape[1])
    truth = labels.numpy().reshape(-1)
    scores, truth = scores[truth != 255], truth[truth != 255]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True), truth


def focal_slowly(logits, labels, *, gamma=2.0, weights=None):
    probabilities, truth = valid_pixels(logits, labels)
    factors = np.ones(logits.shape[1]) if weights is None else weights.numpy()
    losses = [
        -factors[c] * (1 - p[c]) ** gamma * math.log(p[c]) for p, c in zip(probabilities, truth, strict=True)
    ]
    return sum(losses) / len(losses)


def cross_entropy_slowly(logits, labels, weights=None):
    return focal_slowly(logits, labels, gamma=0, weights=weights)


def dice_slowly(logits, labels):
    probabilities, truth = valid_pixels(logits, labels)
    losses = []
    for c in sorted(set(truth.tolist())):
        p, g = probabilities[:, c], (truth == c).astype(float)
        losses.append(1 - 2 * (p * g).sum() / ((p**2).sum() + (g**2).sum()))
    return sum(losses) / len(losses)


def jaccard_loss(wrong, members):
    """Of the set of wrong pixels, for a class with those members: Berman et al. 2018."""
    return len(wrong) / len(members | wrong) if members | wrong else 0.0


def lovasz_slowly(logits, labels):
    """The Lovász extension as an integral: the Jaccard loss of the pixels worse than t, over t in 0..1."""
    probabilities, truth = valid_pixels(logits, labels)
    losses = []
    for c in sorted(set(truth.tolist())):
        errors = np.abs((truth == c) - probabilities[:, c])
        members = set(np.flatnonzero(truth == c).tolist())
        thresholds = [0.0, *sorted(errors.tolist())]
        losses.append(
            sum(
                (high - low) * jaccard_loss(set(np.flatnonzero(errors >= high).tolist()), members)
                for low, high in pairwise(thresholds)
            )
        )
    return sum(losses) / len(losses)


SLOW_TRUTHS = {
    "cross_entropy": cross_entropy_slowly,
    "dice": dice_slowly,
    "focal": focal_slowly,
    "lovasz": lovasz_slowly,
}


@pytest.mark.parametrize("name", LOSSES)
@given(
    seed=st.integers(0, 2**32 - 1), num_classes=st.integers(2, 6), ignored=st.sampled_from([0.0, 0.3, 0.9])
)
@settings(max_examples=25, deadline=None)
def test_loss_equals_its_definition(name, seed, num_classes, ignored):
    logits, labels = random_batch(seed, num_classes=num_classes, ignored=ignored)
    labels[0, 0, 0] = 0  # at least one valid pixel
    slow = SLOW_TRUTHS[name](logits, labels)
    assert LOSSES[name](logits, labels).item() == pytest.approx(slow, rel=2e-5, abs=1e-6)
    assert LOSSES[name](logits.double(), labels).item() == pytest.approx(slow, rel=1e-12)


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_class_weights_multiply_each_pixel_and_not_the_divisor(name):
    logits, labels = random_batch(1)
    weights = torch.tensor([0.5, 2.0, 0.0, 7.0])
    ours = LOSSES[name](logits, labels, class_weights=weights).item()
    assert ours == pytest.approx(SLOW_TRUTHS[name](logits, labels, weights=weights), rel=1e-5)


def test_cross_entropy_of_parts_adds_up_by_their_valid_pixels():
    logits, labels = random_batch(2)
    num_valid = [(part != 255).sum() for part in labels]
    parts = [
        cross_entropy(logits[i : i + 1], labels[i : i + 1]) * num_valid[i] / sum(num_valid) for i in (0, 1)
    ]
    torch.testing.assert_close(parts[0] + parts[1], cross_entropy(logits, labels))


@pytest.mark.parametrize("num_classes", [2, 11, 21])
def test_cross_entropy_of_uniform_logits_is_ln_c(num_classes):  # FACTS 6: "about ln C" at the start
    _, labels = random_batch(3, num_classes=num_classes)
    uniform = torch.full((2, num_classes, 5, 7), 0.3)
    assert cross_entropy(uniform, labels).item() == pytest.approx(math.log(num_classes), rel=1e-6)
    expected = (1 - 1 / num_classes) ** 2 * math.log(num_classes)
    assert focal(uniform, labels).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_gradient_stays_finite_where_the_network_is_certain(gamma):
    logits, labels = random_batch(5)
    certain = (1000 * logits).requires_grad_()
    focal(certain, labels, gamma=gamma).backward()
    assert certain.grad is not None
    assert certain.grad.isfinite().all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_lovasz_of_hard_predictions_is_one_minus_the_mean_iou(seed):
    logits, labels = random_batch(seed, num_classes=5)
    labels[0, 0, 0] = 0
    predicted = logits.argmax(1)
    ious = []
    for c in labels[labels != 255].unique():
        valid = labels != 255
        inside, claimed = (labels == c) & valid, (predicted == c) & valid
        ious.append((inside & claimed).sum() / (inside | claimed).sum())
    hard = 1000 * torch.nn.functional.one_hot(predicted, 5).movedim(-1, 1).float()
    assert lovasz(hard, labels).item() == pytest.approx(1 - torch.stack(ious).mean().item(), abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_that_of_the_function(name):
    logits, labels = random_batch(8, num_classes=3, size=(3, 2), dtype=torch.float64)
    labels[0, 0, 0] = 255
    assert torch.autograd.gradcheck(lambda x: LOSSES[name](x, labels), logits.requires_grad_())


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_have_no_gradient_and_no_influence(name):
    logits, labels = random_batch(9)
    logits.requires_grad_()
    loss = LOSSES[name](logits, labels)
    loss.backward()
    assert logits.grad is not None
    ignored = (labels == 255)[:, None].expand_as(logits)
    assert (logits.grad[ignored] == 0).all()
    assert (logits.grad[~ignored] != 0).any()
    changed = torch.where(ignored, 100 * torch.randn(logits.shape), logits)
    torch.testing.assert_close(LOSSES[name](changed, labels), loss)


@pytest.mark.parametrize("name", LOSSES)
def test_all_ignored_is_zero_with_zero_gradient(name):
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = LOSSES[name](logits, torch.full((1, 4, 4), 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_another_ignore_index_is_obeyed(name):
    logits, labels = random_batch(10)
    renamed = labels.masked_fill(labels == 255, 3)
    labels = labels.masked_fill(labels == 3, 255)
    torch.testing.assert_close(
        LOSSES[name](logits, renamed, ignore_index=3), LOSSES[name](logits, labels, ignore_index=255)
    )


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("spatial", [(9,), (2, 3, 4)])
def test_loss_takes_sound_and_volumes(name, spatial):
    logits, labels = torch.randn(2, 3, *spatial), torch.randint(0, 3, (2, *spatial))
    flat = LOSSES[name](logits.reshape(2, 3, 1, -1), labels.reshape(2, 1, -1))
    torch.testing.assert_close(LOSSES[name](logits, labels), flat)


@pytest.mark.parametrize("name", LOSSES)
def test_bfloat16_logits_are_summed_in_float32(name):
    logits, labels = random_batch(11)
    rounded = logits.bfloat16()
    loss = LOSSES[name](rounded, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, LOSSES[name](rounded.float(), labels))


def test_build_loss_adds_the_named_losses():
    logits, labels = random_batch(12)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    loss = build_loss("cross_entropy + lovasz", class_weights=weights)
    expected = cross_entropy(logits, labels, class_weights=weights) + lovasz(logits, labels)
    torch.testing.assert_close(loss(logits, labels), expected)
    torch.testing.assert_close(build_loss("dice")(logits, labels), dice(logits, labels))


@pytest.mark.parametrize("spec", ["", "hinge", "cross_entropy+", "cross_entropy,dice"])
def test_build_loss_refuses_unknown_names(spec):
    with pytest.raises(ConfigError, match="use one of cross_entropy, dice, focal, lovasz"):
        build_loss(spec)


def test_build_loss_refuses_weights_that_nothing_takes():
    with pytest.raises(ConfigError, match="add cross_entropy or focal"):
        build_loss("dice+lovasz", class_weights=torch.ones(3))


def test_median_frequency_weights_of_a_whole_set():
    weights = median_frequency_weights(np.array([10, 20, 70]))
    assert weights.dtype == torch.float32
    assert weights.tolist() == pytest.approx([2.0, 1.0, 20 / 70])


def test_median_frequency_counts_only_images_that_show_the_class():  # Eigen & Fergus 2015
    counts = torch.tensor([[50, 50, 0], [90, 0, 10], [70, 30, 0]])
    # frequencies: 210 of 300, 80 of 200, 10 of 100
    assert median_frequency_weights(counts).tolist() == pytest.approx([0.4 / 0.7, 1.0, 4.0])


def test_median_frequency_weight_of_an_absent_class_is_one():
    assert median_frequency_weights(np.array([10, 0, 30])).tolist() == pytest.approx([2.0, 1.0, 2 / 3])
    assert median_frequency_weights(np.zeros(3, dtype=np.int64)).tolist() == [1.0, 1.0, 1.0]
