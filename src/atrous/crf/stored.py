"""A CRF in a checkpoint beside the network whose scores it refines: settings found, or learned weights."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jaxtyping import Float, Real
from torch import Tensor

from atrous.checkpoint import Checkpoint
from atrous.crf.dense_crf import DenseCRF
from atrous.crf.rnn import CRFRNN
from atrous.errors import CheckpointError

CRF = DenseCRF | CRFRNN

LEAST = -104.0  # below the logarithm of any positive float32

_KIND = "kind"  # beside what to_dict writes


def with_crf(checkpoint: Checkpoint, crf: CRF | None) -> Checkpoint:
    """The checkpoint with this CRF in place of any other, or with none.

    Raises:
        ConfigError: If it has a `Gaussian` kernel, whose features are no setting.
    """
    settings, tensors = store_crf(crf)
    return replace(checkpoint, crf=settings, crf_tensors=tensors)


def crf_of(checkpoint: Checkpoint, *, num_classes: int) -> CRF | None:
    """The CRF that a checkpoint carries, a learned one in evaluation mode; None without one.

    Raises:
        CheckpointError: If it cannot be restored, or is for another number of classes.
    """
    return restore_crf(checkpoint.crf, checkpoint.crf_tensors, num_classes=num_classes)


def store_crf(crf: CRF | None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings that JSON can hold and learned tensors, from which `restore_crf` makes an equal one.

    Raises:
        ConfigError: If it has a `Gaussian` kernel, whose features are no setting.
    """
    if crf is None:
        return {}, {}
    settings = {_KIND: type(crf).__name__, **crf.to_dict()}
    return settings, dict(crf.state_dict()) if isinstance(crf, CRFRNN) else {}


def restore_crf(
    settings: Mapping[str, Any], tensors: Mapping[str, Tensor], *, num_classes: int
) -> CRF | None:
    """The CRF of what `store_crf` gave, a learned one in evaluation mode.

    Raises:
        CheckpointError: If it cannot be restored, or is for another number of classes.
    """
    if not isinstance(settings, Mapping):
        raise CheckpointError(f"{settings!r} are no settings of a CRF; write them by its to_dict")
    fields = dict(settings)
    kind = fields.pop(_KIND, None)
    match kind:
        case None:
            return None
        case "DenseCRF":
            crf = DenseCRF.from_dict(fields)
            costs = crf.compatibility
            classes = num_classes if costs is None else len(costs)
        case "CRFRNN":
            crf = CRFRNN.from_dict(fields, tensors=tensors).eval()
            classes = crf.num_classes
        case _:
            raise CheckpointError(
                f'the checkpoint carries a CRF of kind "{kind}", unknown here; upgrade atrous'
            )
    if classes != num_classes:
        raise CheckpointError(
            f"the checkpoint carries a CRF of {classes} classes beside a network of {num_classes}; its parts "
            "are of different files: make it anew"
        )
    return crf


def refined(
    crf: CRF, logits: Float[Tensor, "b k *spatial"], images: Real[Tensor, "..."]
) -> Float[Tensor, "b k *spatial"]:
    """Refined scores of either kind of CRF, whose softmax are the marginals.

    Args:
        crf: A learned one is asked in the mode that it is in.
        logits: At the images' size; they may be -inf, as logarithms of probabilities are.
        images: Raw, 0-255 (b, c, *spatial).

    Raises:
        ShapeError: If the two differ in size, or contain what is not finite.
    """
    finite = logits.masked_fill(logits == -math.inf, LEAST)
    return crf.refine(finite, images) if isinstance(crf, DenseCRF) else crf(finite, images)
