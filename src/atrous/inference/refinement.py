"""Scores at every pixel, refined by a CRF of either kind."""

from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from atrous.crf.rnn import CRFRNN
from atrous.crf.stored import CRF, refined
from atrous.geometry.program import evaluating
from atrous.inference.picture import Picture


def refine_scores(crf: CRF, logits: Float[Tensor, "k h w"], pixels: Picture) -> Float[Tensor, "k h w"]:
    """Scores at every pixel refined by the raw image; those of a learned CRF in evaluation mode."""
    images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
    mode = evaluating(crf) if isinstance(crf, CRFRNN) else nullcontext()
    with torch.inference_mode(), mode:
        return refined(crf, logits[None], images)[0]
