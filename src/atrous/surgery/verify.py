"""The proof of a surgery: the dense network gives the original's numbers at the original's cells."""

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from atrous.errors import GeometryError, SurgeryError
from atrous.geometry.receptive_field import ReceptiveField, receptive_field
from atrous.surgery.changes import subsample
from atrous.surgery.compare import first_difference, wake_
from atrous.surgery.plan import Surgery, apply_edits

_TOLERANCE = 1e-8  # of the map's largest value; float64 keeps 1e-16, and deep networks lose some of it


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared, and how it came out.

    Attributes:
        largest_difference: Between dense and original map at the original's cells, as a share of the largest
            value; None where pools are dropped, since that is another function.
        cells: Cells of the original map that were compared.
        before: The receptive field of the original's last map.
        after: That of the dense map.
    """

    largest_difference: float | None
    cells: int
    before: ReceptiveField
    after: ReceptiveField


def verify(network: nn.Module, dense: nn.Module, example: Tensor, *, surgery: Surgery) -> Verification:
    """Compares a dense network with the original on a random float64 input of the example's size.

    Both are copied, in float64 and evaluation mode; statistics and scales that are still as initialized are
    drawn anew in the copies, the same for both, so that no branch is silent.

    Raises:
        SurgeryError: If they differ anywhere, with the first layer that does; or if the map is the same in
            all cells, so that nothing could be seen.
    """
    generator = torch.Generator().manual_seed(0)
    original = wake_(_copied(network), generator)
    changed = _copied(dense)
    changed.load_state_dict(original.state_dict())
    image = torch.randn((1, *example.shape[1:]), dtype=torch.float64, generator=generator)
    before = surgery.receptive_field
    if surgery.pools == "drop":
        return Verification(None, math.prod(before.node.size), before, _field(changed, image))
    with torch.no_grad():
        reference = apply_edits(original, surgery.original)
        wanted = _run(reference, image)
        if not isinstance(wanted, Tensor):
            raise SurgeryError(
                f"{type(network).__name__} returns a {type(wanted).__name__}; wrap it in a module that "
                "returns one tensor"
            )
        if surgery.head == "features" and wanted.shape[1:] != before.node.shape[1:]:
            raise SurgeryError(
                f"the last map of {type(network).__name__} is {before.node.shape}, but its head was given "
                f"{tuple(wanted.shape)}; make what comes after {before.node.label} a module"
            )
        difference = _difference(reference, changed, image, wanted, surgery)
        if surgery.probe:
            _check_head(original, wanted, image, surgery)
    after = _field(changed, image)
    _check_field(before, after, surgery)
    return Verification(difference, wanted[0, 0].numel(), before, after)


def _copied(network: nn.Module) -> nn.Module:
    if any(value.is_meta for value in (*network.parameters(), *network.buffers())):
        raise SurgeryError(
            f"{type(network).__name__} is on the meta device and has no numbers to compare; "
            "plan_surgery alone needs none"
        )
    return copy.deepcopy(network).to(device="cpu", dtype=torch.float64).eval()


def _run(reference: nn.Module, image: Tensor) -> Any:
    try:
        return reference(image)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise SurgeryError(
            f"the head of {type(reference).__name__} does not run on every cell: {_line(error)}; give it a "
            'pool and layers that work for any number of images, or take head="features"'
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _field(dense: nn.Module, image: Tensor) -> ReceptiveField:
    try:
        return receptive_field(dense, image)
    except GeometryError as error:
        raise SurgeryError(f"the dense network does not run: {error}") from error


def _difference(
    original: nn.Module, dense: nn.Module, image: Tensor, wanted: Tensor, surgery: Surgery
) -> float:
    """The largest difference at the original's cells, as a share of the largest value."""
    scale = float(wanted.abs().max())
    if not math.isfinite(scale) or _is_constant(wanted.flatten(2)):
        raise SurgeryError(
            f"the map of {type(original).__name__} is the same in all cells, or not finite, on a random "
            "input, so that nothing can be compared; give it weights that do something"
        )
    try:
        found = subsample(dense(image), surgery.spread)
    except (RuntimeError, ValueError, IndexError) as error:
        reason = f"fails: {_line(error)}"
    else:
        if found.shape == wanted.shape:
            difference = float((found - wanted).abs().max()) / scale
            if difference <= _TOLERANCE:
                return difference
            reason = f"differs from the original by {difference:.1e} of its largest value"
        else:
            reason = f"has {tuple(found.shape[2:])} of the original's {tuple(wanted.shape[2:])} cells"
    layer = first_difference(original, dense, image, surgery=surgery, tolerance=_TOLERANCE)
    raise SurgeryError(
        f"the dense {type(original).__name__} {reason}; the first layer that differs is {layer}"
    )


def _is_constant(values: Tensor) -> bool:
    """Whether a map of several cells is the same in all."""
    return values.shape[-1] > 1 and bool((values == values[..., :1]).all())


def _check_head(original: nn.Module, wanted: Tensor, image: Tensor, surgery: Surgery) -> None:
    """The original's own head on one window of its map gives what the convolutional head gives there."""
    probed = apply_edits(original, surgery.probe)(image)
    cell = tuple(size // 2 for size in wanted.shape[2:])
    expected = wanted[(..., *cell)].flatten()
    difference = float((probed.flatten() - expected).abs().max() / expected.abs().max())
    if not difference <= _TOLERANCE:
        raise SurgeryError(
            f"the head of {type(original).__name__} on one cell differs from its dense form by "
            f'{difference:.1e}; it reads more than a pool and linear layers do: take head="features"'
        )


def _check_field(before: ReceptiveField, after: ReceptiveField, surgery: Surgery) -> None:
    """Original cells see what they saw: the same box of the input each, or all of it."""
    if before.sees_all != after.sees_all:
        raise SurgeryError(f"the receptive field is {after.size} instead of {before.size}")
    axes = zip(before.axes, after.axes, surgery.spread, before.sees_all, strict=True)
    for old, new, step, everything in axes:
        for cell in range(0 if everything else len(old.first) + 1):
            if old.box(cell) != new.box(cell * step):
                raise SurgeryError(
                    f"cell {cell} of the last map sees {old.box(cell)} of the input, but "
                    f"{new.box(cell * step)} in the dense network; sizes are {before.size} and {after.size}"
                )
