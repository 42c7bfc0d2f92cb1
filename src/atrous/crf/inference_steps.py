"""Mean-field inference in a fully connected CRF: softmax, filter, add, again."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Real
from torch import Tensor

from atrous.crf.filters import Filter, Normalization
from atrous.crf.kernels import Kernel, as_kernels
from atrous.crf.lattice_assembly import build_lattice
from atrous.errors import ConfigError, ShapeError

PIXELS_AT_ONCE = 1 << 15  # measured: at 21 classes and 1280x720 pixels, half the time of all at once
SMALLEST_TOTAL = 1e-24  # of exponentials: the least float32 is nothing beside it


def mean_field(
    logits: Float[Tensor, "b k *spatial"],
    images: Real[Tensor, "..."] | None = None,
    *,
    kernels: Sequence[Kernel],
    num_steps: int = 10,
    normalization: Normalization = "symmetric",
    compatibility: Real[Tensor, "..."] | None = None,
) -> Float[Tensor, "b k *spatial"]:
    """Approximate marginals of a fully connected CRF.

    Krähenbühl & Koltun 2011, algorithm 1, on one to three spatial axes. As in their implementation, a pixel's
    message includes its own value. Gradients flow to logits and compatibility, not to images and features.

    Args:
        logits: Scores, such as logarithms of probabilities: minus the unary energies. Their softmax is the
            start.
        images: Gray, RGB or any channels (b, c, *spatial), 0-255; not needed where no kernel is `Bilateral`.
        kernels: `Spatial`, `Bilateral` and `Gaussian` ones.
        num_steps: Mean-field updates; 5-10 is usual. With 0 the result is the softmax.
        normalization: "symmetric", as most dense CRFs, "after", as CRF-RNN, "before" or "none".
        compatibility: Costs (k, k) of the row's label at a pixel beside the column's label at others; or
            their diagonal (k,), where all others are zero. Without it Potts: a cost of one unless the labels
            are the same, which has the same effect as a cost of minus one if they are. Signs are
            pydensecrf's, which makes a matrix symmetric; here it is taken as it is.

    Returns:
        Probabilities that sum to one over k, in at least float32, in channels-last memory.

    Raises:
        ShapeError: If images, features and logits differ in size, or contain what is not finite.
        ConfigError: If a setting makes no sense.
    """
    kernels = as_kernels(kernels)
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    with torch.autocast(logits.device.type, enabled=False):
        filters = build_filters(precise, images, kernels=kernels, normalization=normalization)
        weights = precise.new_tensor([kernel.weight for kernel in kernels])
        costs = None if compatibility is None else compatibility.to(precise)
        refined = refine_logits(precise, filters, weights=weights, compatibility=costs, num_steps=num_steps)
    return refined.movedim(1, -1).softmax(-1).movedim(-1, 1)  # along memory


def build_filters(
    logits: Float[Tensor, "b k *spatial"],
    images: Real[Tensor, "..."] | None,
    *,
    kernels: Sequence[Kernel],
    normalization: Normalization = "symmetric",
    build: Callable[..., Filter] = build_lattice,
) -> list[Filter]:
    """The filter of each image, for as many calls of `refine_logits` as wanted.

    Args:
        logits: They give size, precision and device.
        images: As for `mean_field`.
        kernels: As for `mean_field`; their weights play no part.
        normalization: As for `mean_field`.
        build: What makes a filter of a list of features: `build_lattice`, or `build_exact` for small images.

    Raises:
        ShapeError: If images, features and logits differ in size, or contain what is not finite.
        ConfigError: If there is no kernel, or no such normalization.
    """
    if not 1 <= logits.ndim - 2 <= 3 or not logits.numel():
        raise ShapeError(
            f"logits {tuple(logits.shape)}; give (b, k, *spatial) with one to three spatial axes"
        )
    if images is not None and (len(images), *images.shape[2:]) != (len(logits), *logits.shape[2:]):
        raise ShapeError(
            f"images {tuple(images.shape)} do not fit logits {tuple(logits.shape)}; give (b, c, *spatial) "
            f"with the same b and spatial sizes"
        )
    features = [kernel.features(logits, images) for kernel in as_kernels(kernels)]
    return [build(of_image, normalization=normalization) for of_image in zip(*features, strict=True)]


def refine_logits(
    logits: Float[Tensor, "b k *spatial"],
    filters: Sequence[Filter],
    *,
    weights: Float[Tensor, "kernels *classes"],
    compatibility: Float[Tensor, "..."] | None = None,
    num_steps: int = 10,
) -> Float[Tensor, "b k *spatial"]:
    """Scores after the last mean-field update, whose softmax are the marginals; gradients reach all tensors.

    Args:
        logits: Scores before the first.
        filters: One an image, from `build_filters`.
        weights: One a kernel, or one a kernel and class.
        compatibility: As for `mean_field`.
        num_steps: Updates.

    Raises:
        ShapeError: If a tensor is not finite, the compatibility has another shape, or scores overflow.
        ConfigError: If the number of steps is negative.
    """
    _check(logits, weights, compatibility, num_steps)
    learned = [
        tensor for tensor in (logits, weights, compatibility) if tensor is not None and tensor.requires_grad
    ]
    refine = _refine if learned and torch.is_grad_enabled() else _refine_by_parts
    refined = []
    for scores, gaussian in zip(logits.flatten(2), filters, strict=True):
        refined.append(refine(scores, gaussian, weights, compatibility, num_steps))
    joined = refined[0][None] if len(refined) == 1 else torch.stack(refined)
    if not _is_finite(joined):
        raise ShapeError("scores overflow; give smaller logits, weights of kernels or compatibility")
    return joined.transpose(1, 2).unflatten(2, logits.shape[2:])


def _refine(
    logits: Float[Tensor, "k n"],
    gaussian: Filter,
    weights: Float[Tensor, "kernels *classes"],
    compatibility: Float[Tensor, "*rows k"] | None,
    num_steps: int,
) -> Float[Tensor, "n k"]:
    """Mean field on one image."""
    unaries = logits.T.contiguous()  # the classes of a pixel side by side, as sparse products like
    scores = unaries
    for _ in range(num_steps):
        splatted = gaussian.splat(scores.softmax(1), weights=weights)
        scores = gaussian.slice(_gains(splatted, compatibility), base=unaries)
    return scores


def _refine_by_parts(
    logits: Float[Tensor, "k n"],
    gaussian: Filter,
    weights: Float[Tensor, "kernels *classes"],
    compatibility: Float[Tensor, "*rows k"] | None,
    num_steps: int,
) -> Float[Tensor, "n k"]:
    """The same without gradients, in one buffer: scores of some pixels at a time stay in the CPU's cache."""
    num_classes, num_pixels = logits.shape
    unaries, buffer = logits.new_empty(2, num_pixels, num_classes)
    parts = [slice(first, first + PIXELS_AT_ONCE) for first in range(0, num_pixels, PIXELS_AT_ONCE)]
    for pixels in parts:
        unaries[pixels] = logits[:, pixels].T
        _softmax(unaries[pixels], out=buffer[pixels])
    for step in range(num_steps):
        splatted = _gains(gaussian.splat(buffer, weights=weights), compatibility)
        for pixels in parts:
            scores = gaussian.slice(splatted, base=unaries[pixels], pixels=pixels)
            if step == num_steps - 1:
                buffer[pixels] = scores
            else:
                _softmax(scores, out=buffer[pixels])
    return buffer if num_steps else unaries


def _softmax(scores: Float[Tensor, "p k"], *, out: Float[Tensor, "p k"]) -> None:
    """Over k, in two thirds of the time that torch takes for rows so short, as no maxima are needed."""
    torch.exp(scores, out=out)
    total = out.sum(1, keepdim=True)
    lowest, highest = total.aminmax()
    if lowest > SMALLEST_TOTAL and highest.isfinite():
        out /= total
    else:
        torch.softmax(scores, 1, out=out)


def _gains(
    splatted: Float[Tensor, "m k"], compatibility: Float[Tensor, "*rows k"] | None
) -> Float[Tensor, "m k"]:
    """Minus the cost of each label beside those of all pixels; at the vertices, which are fewer."""
    if compatibility is None:  # Potts: minus the identity, up to a constant that the softmax drops
        return splatted
    if compatibility.ndim == 1:
        return splatted * -compatibility
    return splatted @ -compatibility.T


def check_steps(num_steps: Any) -> None:
    """Nothing, if it is a number of mean-field updates.

    Raises:
        ConfigError: If it is negative or no whole number.
    """
    if not isinstance(num_steps, int) or num_steps < 0:
        raise ConfigError(f"num_steps {num_steps!r} is no number of updates; give a whole number, 0 or more")


def _check(
    logits: Float[Tensor, "b k *spatial"],
    weights: Float[Tensor, "kernels *classes"],
    compatibility: Float[Tensor, "..."] | None,
    num_steps: int,
) -> None:
    num_classes = logits.shape[1]
    if not _is_finite(logits):
        raise ShapeError("logits are not all finite; clamp infinite ones, such as logarithms of 0, to -50")
    check_steps(num_steps)
    if not _is_finite(weights):
        raise ShapeError(
            "weights of kernels are not all finite in this precision; give smaller ones, or lower the rate "
            "of the training that made them so"
        )
    if compatibility is None:
        return
    if compatibility.shape not in {(num_classes,), (num_classes, num_classes)}:
        raise ShapeError(
            f"compatibility {tuple(compatibility.shape)} does not fit {num_classes} classes; give "
            f"({num_classes}, {num_classes}) or ({num_classes},)"
        )
    if not _is_finite(compatibility):
        raise ShapeError("compatibility is not all finite; give a pair that must not be a cost such as 100")


def _is_finite(values: Float[Tensor, "..."]) -> bool:
    """Whether all are; the extremes tell, in less time and memory than asking each."""
    return bool(torch.stack(values.detach().aminmax()).isfinite().all())
