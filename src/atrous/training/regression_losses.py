"""Losses of values against measured ones: SILog, L1, berHu, and sums of them.

Pure functions, computed in at least float32. A pixel counts where all of its channels are measured (finite);
where none counts, loss and gradient are exactly zero, and what is not measured (NaN) reaches neither.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from atrous.errors import ConfigError

SILOG_WEIGHT = 0.5  # lambda; Eigen et al. 2014, section 3.2
BERHU_SHARE = 0.2  # of the batch's largest error; Laina et al. 2016, section 3.2

Outputs = Float[Tensor, "b k *spatial"]


def count_measured(targets: Float[Tensor, "b k *spatial"]) -> int:
    """Pixels that count."""
    return int(_measured(targets).sum())


def silog(log_values: Outputs, targets: Outputs, *, weight: float = SILOG_WEIGHT) -> Float[Tensor, ""]:
    """Scale-invariant error in logarithms, squared.

    Eigen et al. 2014, equation 4: with d = log(value) - log(target), mean(d^2) - weight * mean(d)^2 of an
    image. Images count by their measured pixels, so losses of parts of a batch add up.

    Args:
        log_values: Natural logarithms of the values.
        targets: Measured, positive; NaN elsewhere.
        weight: Lambda; at 1 a factor common to an image costs nothing, at 0 it is plain error in logarithms.

    Returns:
        The scalar loss.
    """
    valid = _measured(targets)
    outputs = _precise(log_values)
    logs = torch.where(valid, targets, 1.0).to(outputs.dtype).log()
    differences = torch.where(valid, outputs - logs, 0.0).flatten(1)  # (b, n)
    numbers = valid.expand_as(targets).flatten(1).sum(1)  # (b,)
    means = differences.sum(1) / numbers.clamp(min=1)
    return (differences.square().sum() - weight * (numbers * means.square()).sum()) / numbers.sum().clamp(
        min=1
    )


def l1(values: Outputs, targets: Outputs) -> Float[Tensor, ""]:
    """Absolute error, summed over channels, the mean over measured pixels; in the unit of the values."""
    return _errors(values, targets).sum() / max(1, count_measured(targets))


def berhu(values: Outputs, targets: Outputs) -> Float[Tensor, ""]:
    """Absolute error up to a threshold c and (error^2 + c^2) / 2c beyond it: the reverse of Huber's loss.

    Laina et al. 2016, equations 1 and 2: c is a fifth of the batch's largest error, and a constant to the
    gradient. Summed over channels, the mean over measured pixels; in the unit of the values. Since c is of
    the batch, micro-batches have a threshold each.
    """
    errors = _errors(values, targets)
    threshold = BERHU_SHARE * errors.detach().amax() if errors.numel() else errors.sum()
    square = (errors.square() + threshold**2) / (2 * threshold.clamp(min=torch.finfo(errors.dtype).tiny))
    return torch.where(errors <= threshold, errors, square).sum() / max(1, count_measured(targets))


REGRESSION_LOSSES: dict[str, Callable[..., Tensor]] = {"silog": silog, "l1": l1, "berhu": berhu}


def build_regression_loss(spec: str, *, is_log: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss that a recipe names: one of `REGRESSION_LOSSES`, or a sum such as "silog+l1".

    Args:
        spec: Names joined by "+".
        is_log: Whether what the network gives are logarithms; SILog is of these, the others of their
            exponentials.

    Returns:
        A function (outputs, targets) -> scalar.

    Raises:
        ConfigError: If a name is unknown, or SILog is asked of what has no logarithm.
    """
    names = [name.strip() for name in spec.split("+")]
    for name in names:
        if name not in REGRESSION_LOSSES:
            known = ", ".join(REGRESSION_LOSSES)
            raise ConfigError(
                f"loss {spec!r} names {name!r}, and a regression takes one of {known}, or a sum of them by +"
            )
    if "silog" in names and not is_log:
        raise ConfigError(f"loss {spec!r} is of logarithms, and flow has signs; use l1 or berhu")

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        # An exponential that overflows where nothing is measured would reach the gradient as NaN.
        precise = torch.where(_measured(targets), _precise(outputs), 0.0)
        values = precise.exp() if is_log else precise
        parts = [
            silog(precise, targets) if name == "silog" else REGRESSION_LOSSES[name](values, targets)
            for name in names
        ]
        return torch.stack(parts).sum()

    return loss


def _measured(targets: Outputs) -> Bool[Tensor, "b 1 *spatial"]:
    return targets.isfinite().all(1, keepdim=True)


def _errors(values: Outputs, targets: Outputs) -> Outputs:
    """Absolute errors, 0 where nothing is measured."""
    precise = _precise(values)
    valid = _measured(targets)
    return torch.where(valid, precise - torch.where(valid, targets, 0.0).to(precise.dtype), 0.0).abs()


def _precise(values: Tensor) -> Tensor:
    """Values in float32, or in float64 if they are."""
    return values if values.dtype == torch.float64 else values.float()
