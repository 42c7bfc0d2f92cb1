"""What is done to one module of a network that becomes dense; each change returns the module to put there."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from atrous.surgery.phases import InPhases
from atrous.surgery.pools import DenseAvgPool, DenseMaxPool
from atrous.surgery.windows import DenseAxis


@runtime_checkable
class Change(Protocol):
    """A change to one module."""

    def apply_(self, module: nn.Module) -> nn.Module:
        """Changes the module, or makes another; returns what belongs in its place."""
        ...


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a network.

    Attributes:
        path: Of the module; empty for the network itself.
        what: The change in words: "stride 2 -> 1".
        change: What does it.
    """

    path: str
    what: str
    change: Change


@dataclass(frozen=True, slots=True)
class Pool:
    """A dense pool in the place of a pool.

    Attributes:
        axes: Its window along each axis.
        is_max: Whether it takes the maximum; otherwise the mean.
        counts_padding: Whether a mean counts the padding.
        divisor: What a mean's sums are divided by, where that is given.
    """

    axes: tuple[DenseAxis, ...]
    is_max: bool
    counts_padding: bool = True
    divisor: int | None = None

    def apply_(self, module: nn.Module) -> nn.Module:
        """A new pool, in the mode of the old one."""
        pool = (
            DenseMaxPool(self.axes)
            if self.is_max
            else DenseAvgPool(self.axes, counts_padding=self.counts_padding, divisor=self.divisor)
        )
        return pool.train(module.training)


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing in the place of a pool."""

    def apply_(self, module: nn.Module) -> nn.Module:
        """The identity."""
        return nn.Identity().train(module.training)


@dataclass(frozen=True, slots=True)
class Widen:
    """The padding of a module that only pads with a constant, on the dense map."""

    spread: tuple[int, ...]

    def apply_(self, module: nn.Module) -> nn.Module:
        """Multiplies its numbers."""
        module.padding = self.dense(module.padding)  # type: ignore[assignment, arg-type]
        return module

    def dense(self, padding: tuple[int, ...]) -> tuple[int, ...]:
        """The numbers multiplied; they stand last axis first, two for each."""
        steps = [step for step in reversed(self.spread) for _ in range(2)]
        return tuple(cells * step for cells, step in zip(padding, steps, strict=False))


@dataclass(frozen=True, slots=True)
class RunInPhases:
    """A module that runs on every interleaved grid of the dense map.

    Attributes:
        spread: Dense cells from one original cell to the next, (input, output), one pair an axis.
    """

    spread: tuple[tuple[int, int], ...]

    def apply_(self, module: nn.Module) -> nn.Module:
        """Hooks the splitting and joining to it."""
        InPhases(self.spread).attach_(module)
        return module


@dataclass(frozen=True, slots=True)
class ReadSamples:
    """A module that sees the original's cells only, because it returns nothing that has places.

    Attributes:
        spread: Dense cells from one original cell to the next, one number an axis.
    """

    spread: tuple[int, ...]

    def apply_(self, module: nn.Module) -> nn.Module:
        """Hooks the sampling to it."""
        module.register_forward_pre_hook(self, with_kwargs=True)
        return module

    def __call__(self, module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:  # noqa: ARG002 (hook)
        """Before the module."""
        return tree_map(self._sampled, args), tree_map(self._sampled, kwargs)

    def _sampled(self, value: Any) -> Any:
        is_map = isinstance(value, Tensor) and value.ndim > len(self.spread)
        return subsample(value, self.spread) if is_map else value


def subsample(features: Tensor, spread: tuple[int, ...]) -> Tensor:
    """Every `spread`-th cell along each axis."""
    return features[(..., *(slice(None, None, step) for step in spread))]


def replace_(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Puts a module in another's place, wherever the network has it."""
    for parent in list(network.modules()):
        for name, child in parent._modules.items():
            if child is old:
                parent._modules[name] = new


def per_axis(value: Any, rank: int) -> tuple[int, ...]:
    """One number an axis."""
    return (
        tuple(int(v) for v in value) if isinstance(value, tuple | list | torch.Size) else (int(value),) * rank
    )


def in_words(values: Any) -> str:
    """`2` where all values are the same, `2x1` where not; a pair of two numbers is `0+1`."""
    parts = [
        str(value) if isinstance(value, int) else in_words(value).replace("x", "+")
        for value in ([values] if isinstance(values, int) else values)
    ]
    return parts[0] if len(set(parts)) == 1 else "x".join(parts)
