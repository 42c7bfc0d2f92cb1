"""Scores that come from labels, drawn by hand or by another program."""

import math

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from atrous.errors import ConfigError, ShapeError


def unary_from_labels(
    label_map: Integer[Tensor, "b *spatial"], *, num_classes: int, confidence: float, ignore_index: int = 255
) -> Float[Tensor, "b k *spatial"]:
    """Logits of someone who is right about a pixel's label with a given probability.

    The logarithm of the confidence for the label, of an equal part of the rest for each other, and of equal
    parts for all where the label is `ignore_index`: pydensecrf's function of this name, where 0 is ignored.

    Args:
        label_map: Classes 0..num_classes - 1, or `ignore_index`.
        num_classes: At least two.
        confidence: Probability, between 0 and 1, both excluded.
        ignore_index: The label that says nothing.

    Raises:
        ConfigError: If there are fewer than two classes, or the confidence is out of range.
        ShapeError: If there are other labels.
    """
    if num_classes < 2 or not 0 < confidence < 1:
        raise ConfigError(
            f"{num_classes} classes with confidence {confidence}; give at least 2, and one between 0 and 1"
        )
    label_map = label_map.long()
    known = label_map != ignore_index
    if known.any() and not 0 <= label_map[known].min() <= label_map[known].max() < num_classes:
        raise ShapeError(
            f"labels beyond 0..{num_classes - 1}, and not {ignore_index}; map them to classes first"
        )
    rest = math.log1p(-confidence) - math.log(num_classes - 1)
    logits = torch.full((len(label_map), num_classes, *label_map.shape[1:]), rest, device=label_map.device)
    logits.scatter_(1, label_map.where(known, 0)[:, None], math.log(confidence))
    return logits.where(known[:, None], -math.log(num_classes))
