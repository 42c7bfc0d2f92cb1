"""How far a file's answers are from the network's, image by image."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from atrous.export.deployed import Result


@dataclass(frozen=True, slots=True)
class Compared:
    """One image, as the network and as the file see it.

    Attributes:
        name: Of the image.
        size: Its pixels along each axis.
        largest_difference: Between the two, as a share of the network's largest value; None for labels.
        agreement: Share of the cells or pixels with the same most probable class; None for a regression.
    """

    name: str
    size: tuple[int, ...]
    largest_difference: float | None
    agreement: float | None


@dataclass(frozen=True, slots=True)
class Parity:
    """All images compared, and what was asked for.

    Attributes:
        compared: In order.
        tolerance: The largest difference that passes.
        least_agreement: The least agreement that passes, of all cells or pixels together.
    """

    compared: tuple[Compared, ...]
    tolerance: float
    least_agreement: float

    @property
    def largest_difference(self) -> float | None:
        """Of all images; not a number where one is not."""
        known = [one.largest_difference for one in self.compared if one.largest_difference is not None]
        return max(known, key=lambda value: (math.isnan(value), value)) if known else None

    @property
    def agreement(self) -> float | None:
        """The mean of the images."""
        known = [one.agreement for one in self.compared if one.agreement is not None]
        return sum(known) / len(known) if known else None

    @property
    def holds(self) -> bool:
        """Whether both are within what was asked for; what is not a number is not."""
        difference, agreement = self.largest_difference, self.agreement
        is_near = difference is None or difference <= self.tolerance
        return is_near and (agreement is None or agreement >= self.least_agreement)

    @property
    def verdict(self) -> str:
        """How the file compares, in a sentence."""
        parts = []
        if self.largest_difference is not None:
            allowed = "" if self.tolerance == math.inf else f" ({self.tolerance:g} allowed)"
            parts.append(f"largest difference {self.largest_difference:.1e} of the largest value{allowed}")
        if self.agreement is not None:
            least = f"({100 * self.least_agreement:g}% wanted)"
            parts.append(f"{100 * self.agreement:.3f}% of labels are the same {least}")
        count = len(self.compared)
        return f"File against network on {count} input{'s' * (count != 1)}: {', '.join(parts)}."

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "holds": self.holds,
            "largest_difference": self.largest_difference,
            "tolerance": self.tolerance,
            "agreement": self.agreement,
            "least_agreement": self.least_agreement,
            "images": [asdict(one) for one in self.compared],
        }

    def to_table(self) -> str:
        """A line an image."""
        width = max(len("image"), *(len(one.name) for one in self.compared))
        lines = [f"{'image':<{width}}  {'size':>11}  largest difference  same labels"]
        for one in self.compared:
            size = " x ".join(map(str, one.size))
            lines.append(
                f"{one.name:<{width}}  {size:>11}  {_difference(one.largest_difference):>18}  "
                f"{_share(one.agreement):>11}"
            )
        return "\n".join(lines)


def compare(
    network: Callable[[Tensor], Tensor],
    file: Callable[[Tensor], Tensor],
    inputs: Iterable[tuple[str, Tensor]],
    *,
    result: Result,
    has_classes: bool,
) -> Iterator[Compared]:
    """Each input through both; lazily, since that takes its time.

    Args:
        network: The truth.
        file: What was exported, read back from disk.
        inputs: Names and what both take (1, c, *spatial).
        result: What both give.
        has_classes: Whether the outputs are scores of classes.
    """
    for name, images in inputs:
        with torch.inference_mode():
            truth, given = network(images), file(images)
        size = tuple(images.shape[2:])
        if truth.shape != given.shape:
            yield Compared(name, size, float("nan"), 0.0)
        elif result == "labels":
            yield Compared(name, size, None, _same(truth, given))
        else:
            agreement = _same(truth.argmax(1), given.argmax(1)) if has_classes else None
            yield Compared(name, size, _distance(truth, given), agreement)


def _distance(truth: Tensor, given: Tensor) -> float:
    largest = truth.abs().max().item()
    return (truth - given).abs().max().item() / largest if largest else float(given.abs().max())


def _same(first: Tensor, second: Tensor) -> float:
    return (first == second).double().mean().item()


def _difference(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.3f}%"
