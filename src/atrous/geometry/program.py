"""The program that `torch.export` makes of a module, or an error that names the line which stopped it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from atrous.errors import GeometryError
from atrous.geometry.source import users_line


def export_program(network: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """The exported program of a module in evaluation mode.

    Raises:
        GeometryError: If the exporter or the module's own forward stops.
    """
    with evaluating(network), _quiet():
        try:
            return torch.export.export(network, (example,), strict=False)
        except Exception as error:  # a forward is foreign code: it may raise anything
            reason = " ".join(str(error).split())[:300]
            raise GeometryError(
                f"{type(network).__name__} cannot be traced on an input of {tuple(example.shape)}: {reason} "
                f"{users_line(error)}; give an example that its forward takes (a larger one, where a kernel "
                "does not fit into its input), and let no value of a tensor decide what is computed"
            ) from error


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode, and afterwards as it was."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def _quiet() -> Iterator[None]:
    """Without PyTorch's own account of an operator that failed; the error says the same, shorter."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was_disabled
