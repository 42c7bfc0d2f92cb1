"""Losses of logits against labels: cross-entropy, Dice, focal, Lovász-Softmax, and sums of them.

Pure functions, computed in at least float32. Pixels labeled `ignore_index` count for nothing, and where no
pixel counts the loss and its gradient are exactly zero.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor
from torch.nn import functional

from atrous.errors import ConfigError


def cross_entropy(
    logits: Float[Tensor, "b k *spatial"],
    labels: Int64[Tensor, "b *spatial"],
    *,
    ignore_index: int = 255,
    class_weights: Float[Tensor, " k"] | None = None,
) -> Float[Tensor, ""]:
    """Softmax cross-entropy in nats, the mean over valid pixels.

    Args:
        logits: Scores before the softmax.
        labels: Classes 0..k-1, or `ignore_index`.
        ignore_index: The label that counts for nothing.
        class_weights: A factor for each class. The weighted sum is still divided by the number of valid
            pixels and not by their weights, so losses of parts of a batch add up.

    Returns:
        The scalar loss.
    """
    weights = None if class_weights is None else class_weights.to(logits.device, _precise(logits).dtype)
    losses = functional.cross_entropy(
        _precise(logits), labels, weight=weights, ignore_index=ignore_index, reduction="sum"
    )
    return losses / _num_valid(labels, ignore_index)


def focal(
    logits: Float[Tensor, "b k *spatial"],
    labels: Int64[Tensor, "b *spatial"],
    *,
    ignore_index: int = 255,
    class_weights: Float[Tensor, " k"] | None = None,
    gamma: float = 2.0,  # Lin et al. 2017, table 1b
) -> Float[Tensor, ""]:
    """Cross-entropy in which easy pixels count less, by (1 - p)^gamma; the mean over valid pixels.

    Lin et al. 2017, equations 4 and 5, with a softmax instead of one sigmoid.

    Args:
        logits: Scores before the softmax.
        labels: Classes 0..k-1, or `ignore_index`.
        ignore_index: The label that counts for nothing.
        class_weights: A factor for each class, alpha in the paper.
        gamma: How strongly easy pixels are turned down; 0 gives cross-entropy.

    Returns:
        The scalar loss.
    """
    nats = functional.cross_entropy(_precise(logits), labels, ignore_index=ignore_index, reduction="none")
    doubt = -torch.expm1(-nats)  # 1 - p of the true class, without cancellation
    # A power below 1 has an infinite slope at 0; a clamped value passes no gradient on.
    losses = doubt.clamp(min=torch.finfo(doubt.dtype).tiny) ** gamma * nats
    if class_weights is not None:
        known = labels.masked_fill(labels == ignore_index, 0)  # their loss is 0 already
        losses = losses * class_weights.to(losses)[known]
    return losses.sum() / _num_valid(labels, ignore_index)


def dice(
    logits: Float[Tensor, "b k *spatial"],
    labels: Int64[Tensor, "b *spatial"],
    *,
    ignore_index: int = 255,
) -> Float[Tensor, ""]:
    """One minus the soft Dice overlap, the mean over the classes present in the batch; in [0, 1].

    Milletari et al. 2016, section 3: 2 sum(p g) / (sum(p^2) + sum(g^2)), sums over the batch's valid pixels.

    Args:
        logits: Scores before the softmax.
        labels: Classes 0..k-1, or `ignore_index`.
        ignore_index: The label that counts for nothing.

    Returns:
        The scalar loss.
    """
    probabilities, truth = _valid_probabilities(logits, labels, ignore_index)
    num_pixels = truth.bincount(minlength=len(probabilities))  # (k,); sum(g^2), as g is 0 or 1
    of_truth = probabilities.gather(0, truth[None])[0]  # (n,)
    overlap = probabilities.new_zeros(len(probabilities)).index_add(0, truth, of_truth)
    scores = 2 * overlap / (probabilities.square().sum(1) + num_pixels).clamp(min=1)
    present = num_pixels > 0
    return ((1 - scores) * present).sum() / present.sum().clamp(min=1)


def lovasz(
    logits: Float[Tensor, "b k *spatial"],
    labels: Int64[Tensor, "b *spatial"],
    *,
    ignore_index: int = 255,
) -> Float[Tensor, ""]:
    """Lovász-Softmax: a convex stand-in for one minus the mean IoU of the batch; in [0, 1].

    Berman et al. 2018, over the classes present in the batch and the pixels of the whole batch.

    Args:
        logits: Scores before the softmax.
        labels: Classes 0..k-1, or `ignore_index`.
        ignore_index: The label that counts for nothing.

    Returns:
        The scalar loss.
    """
    probabilities, truth = _valid_probabilities(logits, labels, ignore_index)
    present = truth.bincount(minlength=len(probabilities)).nonzero().flatten().tolist()
    losses = [_lovasz_of_class(probabilities[index], truth == index) for index in present]
    return torch.stack(losses).mean() if losses else probabilities.sum()  # of no pixel: a zero with gradient


def _lovasz_of_class(probabilities: Float[Tensor, " n"], truth: Bool[Tensor, " n"]) -> Float[Tensor, ""]:
    """Lovász extension of the Jaccard loss at the errors |truth - probability| of one class."""
    errors = (truth.to(probabilities.dtype) - probabilities).abs()
    with torch.no_grad():  # the extension is linear while the order stays
        # Floats that are not negative sort as their bits do, and torch sorts integers upwards by radix: on a
        # CPU that is 9 times faster than floats downwards.
        bits = errors.view(torch.int64 if errors.dtype == torch.float64 else torch.int32)
        order = (-bits).sort().indices
        hits = truth.index_select(0, order)
        found = hits.cumsum(0)
        # Were exactly the worst n pixels wrong, n = 1, 2, ..., the IoU would be intersection / union:
        intersection = (found[-1] - found).to(errors.dtype)
        union = intersection + torch.arange(1, len(order) + 1, device=order.device)
        # What the n-th adds to 1 - IoU, in a form that does not subtract two numbers nearly equal.
        steps = torch.where(hits, 1 / union, intersection / (union * (union - 1)))
        slopes = torch.empty_like(errors).scatter_(0, order, steps)
    return errors @ slopes


LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": cross_entropy,
    "dice": dice,
    "focal": focal,
    "lovasz": lovasz,
}
WEIGHTED_LOSSES = ("cross_entropy", "focal")


def build_loss(
    spec: str, *, class_weights: Float[Tensor, " k"] | None = None
) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss that a recipe names: one of `LOSSES`, or a sum such as "cross_entropy+lovasz".

    Args:
        spec: Names joined by "+".
        class_weights: A factor for each class in cross-entropy and focal loss; Dice and Lovász weigh classes
            alike by themselves.

    Returns:
        A function (logits, labels) -> scalar.

    Raises:
        ConfigError: If a name is unknown, or there are weights that no named loss takes.
    """
    names = [name.strip() for name in spec.split("+")]
    for name in names:
        if name not in LOSSES:
            known = ", ".join(LOSSES)
            raise ConfigError(f"loss {spec!r} names {name!r}; use one of {known}, or a sum of them by +")
    if class_weights is not None and not set(names) & set(WEIGHTED_LOSSES):
        takers = " or ".join(WEIGHTED_LOSSES)
        raise ConfigError(f"loss {spec!r} takes no class weights; leave them out or add {takers}")

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        parts = [
            LOSSES[name](logits, labels, class_weights=class_weights)
            if name in WEIGHTED_LOSSES
            else LOSSES[name](logits, labels)
            for name in names
        ]
        return torch.stack(parts).sum()

    return loss


def median_frequency_weights(
    pixel_counts: Int[Tensor, "*images k"] | Int[np.ndarray, "*images k"],
) -> Float[Tensor, " k"]:
    """Class weights median(frequency) / frequency, so that rare classes count as much as common ones.

    Eigen & Fergus 2015: the frequency of a class is its share of the pixels of the images
    that show it, which takes one row of counts an image. Counts of a whole set (k,) give plain frequencies.

    Args:
        pixel_counts: Labeled pixels of every class, one row an image.

    Returns:
        Float32 weights. A class without pixels gets 1, as the class of median frequency: it has no pixel to
        weigh, and should one turn up outside the counted images, it counts like any other.
    """
    counts = torch.as_tensor(pixel_counts).to(torch.float64)
    counts = counts.reshape(-1, counts.shape[-1])
    shown_in = (counts > 0).to(torch.float64) * counts.sum(1, keepdim=True)
    frequencies = counts.sum(0) / shown_in.sum(0).clamp(min=1)
    present = frequencies > 0
    if not present.any():
        return torch.ones(len(present))
    median = frequencies[present].quantile(0.5)
    return torch.where(present, median / frequencies, 1.0).to(torch.float32)


def _precise(logits: Tensor) -> Tensor:
    """Logits in float32, or in float64 if they are."""
    return logits if logits.dtype == torch.float64 else logits.float()


def _num_valid(labels: Tensor, ignore_index: int) -> Tensor:
    return (labels != ignore_index).sum().clamp(min=1)


def _valid_probabilities(
    logits: Float[Tensor, "b k *spatial"], labels: Int64[Tensor, "b *spatial"], ignore_index: int
) -> tuple[Float[Tensor, "k n"], Int64[Tensor, " n"]]:
    """Softmax and labels of the valid pixels of the batch."""
    scores = _precise(logits).movedim(1, 0).flatten(1)  # (k, b*h*w)
    truth = labels.flatten()
    valid = (truth != ignore_index).nonzero().flatten()
    if len(valid) < len(truth):
        scores, truth = scores.index_select(1, valid), truth[valid]
    return scores.softmax(0), truth
