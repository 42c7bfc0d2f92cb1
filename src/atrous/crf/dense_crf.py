"""A dense CRF with its settings frozen, and the plain form in which settings are stored."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Real
from torch import Tensor

from atrous.config import to_dict
from atrous.crf.filters import Normalization, exponents
from atrous.crf.inference_steps import build_filters, check_steps, mean_field, refine_logits
from atrous.crf.kernels import Bilateral, Gaussian, Kernel, Spatial, as_kernels, is_real
from atrous.errors import CheckpointError, ConfigError

Costs = tuple[float, ...] | tuple[tuple[float, ...], ...]

MOST_STEPS, MOST_KERNELS = 1000, 16
"""What a file may ask for; papers have 10 steps and two kernels."""

_KINDS = {"Spatial": Spatial, "Bilateral": Bilateral}


@dataclass(frozen=True, slots=True)
class DenseCRF:
    """All settings of a fully connected CRF, to be applied to any number of images; see `mean_field`.

    Attributes:
        kernels: At least one; kept as a tuple.
        num_steps: Mean-field updates.
        normalization: "symmetric", "before", "after" or "none".
        compatibility: Rows of a (k, k) matrix of costs, or the diagonal of one, see `mean_field`; None for
            Potts. A list or tensor becomes a tuple.

    Raises:
        ConfigError: If there is no kernel or no such normalization, the number of steps is negative, or the
            compatibility is neither a vector nor a square matrix of finite numbers.
    """

    kernels: Sequence[Kernel] = (Spatial(), Bilateral())
    num_steps: int = 10
    normalization: Normalization = "symmetric"
    compatibility: Costs | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernels", as_kernels(self.kernels))
        check_steps(self.num_steps)
        exponents(self.normalization)
        if self.compatibility is not None:
            object.__setattr__(self, "compatibility", _as_costs(self.compatibility))
            _check_costs(self.compatibility)

    def __call__(
        self, logits: Float[Tensor, "b k *spatial"], images: Real[Tensor, "..."] | None = None
    ) -> Float[Tensor, "b k *spatial"]:
        """Probabilities that sum to one over k; arguments and errors as those of `mean_field`."""
        return mean_field(
            logits,
            images,
            kernels=self.kernels,
            num_steps=self.num_steps,
            normalization=self.normalization,
            compatibility=self.costs(logits),
        )

    def refine(
        self, logits: Float[Tensor, "b k *spatial"], images: Real[Tensor, "..."] | None = None
    ) -> Float[Tensor, "b k *spatial"]:
        """The logarithms of the same up to a constant a pixel: refined scores, as `CRFRNN` gives them."""
        with torch.autocast(logits.device.type, enabled=False):
            precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
            return refine_logits(
                precise,
                build_filters(precise, images, kernels=self.kernels, normalization=self.normalization),
                weights=precise.new_tensor([kernel.weight for kernel in self.kernels]),
                compatibility=self.costs(precise),
                num_steps=self.num_steps,
            )

    def costs(self, logits: Float[Tensor, "b k *spatial"]) -> Float[Tensor, "..."] | None:
        """The compatibility as `mean_field` takes it, in the precision and on the device of the logits."""
        if self.compatibility is None:
            return None
        precision = torch.promote_types(logits.dtype, torch.float32)
        return torch.tensor(self.compatibility, dtype=precision, device=logits.device)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; `from_dict` reads them back to an equal instance.

        Raises:
            ConfigError: If there is a `Gaussian` kernel, whose features are no setting.
        """
        return {**to_dict(self), "kernels": store_kernels(self.kernels)}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "DenseCRF":
        """The CRF of what `to_dict` wrote.

        Raises:
            CheckpointError: If something is missing, unknown, of another type, or out of range.
        """
        try:
            rest = dict(stored)
            kernels, num_steps = restore_kernels(rest.pop("kernels")), whole_number(rest.pop("num_steps"))
            refuse_many_steps(num_steps)
            costs = rest.pop("compatibility", None)
            return cls(
                kernels, num_steps, compatibility=costs if costs is None else _restore_costs(costs), **rest
            )
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise broken_settings("DenseCRF", stored, error) from error


def store_kernels(kernels: Sequence[Kernel]) -> list[dict[str, Any]]:
    """Plain values that JSON can hold: the class of each kernel, and its attributes.

    Raises:
        ConfigError: If there is a `Gaussian` kernel.
    """
    for kernel in kernels:
        if isinstance(kernel, Gaussian):
            raise ConfigError("a Gaussian kernel holds features, which are no setting to store; leave it out")
    return [{"kernel": type(kernel).__name__, **to_dict(kernel)} for kernel in kernels]


def restore_kernels(stored: list[dict[str, Any]]) -> tuple[Kernel, ...]:
    """The kernels of what `store_kernels` wrote.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: If it wrote something else; see `broken_settings`.
    """
    if len(stored) > MOST_KERNELS:
        raise ValueError(f"{len(stored)} kernels are more than {MOST_KERNELS}")
    kernels = []
    for values in stored:
        attributes = {name: _restore_numbers(value) for name, value in values.items() if name != "kernel"}
        kernels.append(_KINDS[values["kernel"]](**attributes))
    return tuple(kernels)


def refuse_many_steps(num_steps: int) -> None:
    """Nothing, if an image is refined in a time that one can wait for.

    Raises:
        ValueError: If a file asks for more than `MOST_STEPS`.
    """
    if num_steps > MOST_STEPS:
        raise ValueError(f"{num_steps} steps are more than {MOST_STEPS}")


def whole_number(value: Any) -> int:
    """The value, if it is an integer.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no whole number")
    return value


def broken_settings(name: str, stored: Any, error: Exception) -> CheckpointError:
    """The error for what cannot be restored: what is stored, what is wrong with it, and the way out."""
    given = textwrap.shorten(repr(stored), 300)
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return CheckpointError(f"{given} holds no settings of {name} ({reason}); write them by {name}.to_dict")


def _restore_numbers(value: Any) -> float | tuple[float, ...]:
    """A number, or a tuple of numbers."""
    if isinstance(value, list):
        return tuple(_restore_number(number) for number in value)
    return _restore_number(value)


def _restore_number(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no number")
    return value


def _restore_costs(stored: list[Any]) -> Costs:
    """A vector or a matrix; `DenseCRF` checks its shape."""
    return tuple(_restore_numbers(row) for row in stored)  # type: ignore[return-value]


def _as_costs(costs: Any) -> Any:
    """Tuples in place of lists and tensors."""
    if isinstance(costs, Tensor):
        costs = costs.tolist()
    return tuple(map(_as_costs, costs)) if isinstance(costs, list | tuple) else costs


def _check_costs(costs: Costs) -> None:
    if not isinstance(costs, tuple):
        raise ConfigError(
            f"compatibility {costs!r} is neither a vector nor a matrix; give k numbers, or k rows of k"
        )
    rows = [row if isinstance(row, tuple) else (row,) for row in costs]
    widths = {len(row) if isinstance(row, tuple) else 0 for row in costs}
    if widths not in ({0}, {len(costs)}):
        raise ConfigError(
            f"compatibility of {len(costs)} rows with {sorted(widths)} numbers; give k rows of k, or a vector"
        )
    if not all(is_real(cost) for row in rows for cost in row):
        raise ConfigError("compatibility is not all finite; give numbers, such as 0 and 1")
