"""Two networks side by side, layer by layer: which is the first that differs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from atrous.surgery.changes import ReadSamples, RunInPhases, subsample
from atrous.surgery.handover import AtSeam
from atrous.surgery.plan import Surgery
from atrous.surgery.spread import is_within


def first_difference(
    original: nn.Module, dense: nn.Module, image: Tensor, *, surgery: Surgery, tolerance: float
) -> str:
    """The path of the first module whose results differ at the original's cells, in running order."""
    wanted, found = _results(original, image, surgery), _results(dense, image, surgery)
    handed_over = [edit.change.seam.path for edit in surgery.edits if isinstance(edit.change, AtSeam)]
    for call, value in wanted.items():
        if call[0] in handed_over and surgery.head == "dense":
            continue  # what it returned has become rows
        other = found.get(call)
        if other is None:
            return f"{call[0]}, which is not reached"
        steps = surgery.spreads[call[0]] if call[0] not in handed_over else [(1,) * (image.ndim - 2)]
        seen = [subsample(other, spread) for spread in steps]
        fitting = [part for part in seen if part.shape == value.shape]
        if not fitting:
            return f"{call[0]}, which has {tuple(seen[-1].shape[2:])} of {tuple(value.shape[2:])} cells"
        if not any(bool((part - value).abs().max() <= tolerance * value.abs().max()) for part in fitting):
            return call[0]
    return "in the network's own forward"


def _results(network: nn.Module, image: Tensor, surgery: Surgery) -> dict[tuple[str, int], Tensor]:
    """What every module with an operator of its own returned, by path and number of the call."""
    owners = [edit.path for edit in surgery.edits if isinstance(edit.change, RunInPhases | ReadSamples)]
    results: dict[tuple[str, int], Tensor] = {}

    def keep(path: str, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == image.ndim:
            results[path, sum(known == path for known, _ in results)] = output.clone()

    with _listening(network, keep, [p for p in surgery.spreads if p and not _is_inside(p, owners)]):
        try:
            network(image)
        except (RuntimeError, ValueError, IndexError):
            return results
    return results


@contextmanager
def _listening(network: nn.Module, keep: Any, paths: list[str]) -> Iterator[None]:
    handles = [
        network.get_submodule(path).register_forward_hook(
            lambda module, args, output, path=path: keep(path, output)  # noqa: ARG005 (hook)
        )
        for path in paths
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_inside(path: str, owners: list[str]) -> bool:
    return any(is_within(path, owner) and path != owner for owner in owners)


def wake_(network: nn.Module, generator: torch.Generator) -> nn.Module:
    """Draws anew, in place, all statistics, scales and shifts that are still one number, as initialized.

    Fresh scales of zero or one millionth would hide whole branches from a comparison.
    """
    statistics = [
        (name, value)
        for name, value in network.named_buffers()
        if name.endswith(("running_mean", "running_var"))
    ]
    with torch.no_grad():
        for name, value in (*network.named_parameters(), *statistics):
            if value.is_floating_point() and _is_fresh(value):
                is_shift = name.rsplit(".", 1)[-1] in ("bias", "running_mean")
                noise = torch.rand(value.shape, dtype=torch.float64, generator=generator)
                value.copy_((noise - 0.5) / 2 if is_shift else noise + 0.5)
    return network


def _is_fresh(value: Tensor) -> bool:
    """Whether all numbers are the same; a single one is fresh if it is zero."""
    first = value.flatten()[:1]
    return bool((value == first).all()) if value.numel() > 1 else bool((value == 0).all())
