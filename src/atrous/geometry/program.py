"""The program that `torch.export` makes of a module, or an error that names the line which stopped it."""

import logging
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import Dim
from torch.fx.node import map_arg

from atrous.errors import GeometryError
from atrous.geometry.source import users_line


def export_program(
    network: nn.Module, example: Tensor, *, any_size: bool = False
) -> torch.export.ExportedProgram:
    """The exported program of a module in evaluation mode.

    Args:
        network: Any module.
        example: An input (b, c, *spatial) that it takes.
        any_size: Whether batch and spatial axes stay dynamic; the example then has a batch of two, and no
            side that could be taken for a constant.

    Raises:
        GeometryError: If the exporter or the module's own forward stops.
    """
    shapes = (dict.fromkeys((0, *range(2, example.ndim)), Dim.DYNAMIC),) if any_size else None
    with evaluating(network), _quiet():
        try:
            return torch.export.export(network, (example,), dynamic_shapes=shapes, strict=False)
        except Exception as error:  # a forward is foreign code: it may raise anything
            reason = " ".join(str(error).split())[:300]
            raise GeometryError(
                f"{type(network).__name__} cannot be traced on an input of {tuple(example.shape)}: {reason} "
                f"{users_line(error)}; give an example that its forward takes (a larger one, where a kernel "
                "does not fit into its input), and let no value of a tensor decide what is computed"
            ) from error


def operator_name(node: fx.Node) -> str:
    """`conv2d` of aten.conv2d.default, `relu` of aten.relu_.default."""
    return _own_name(node).rstrip("_")


def writes_in_place(node: fx.Node) -> bool:
    """Whether an operator writes its result into its first argument, as aten.relu_.default."""
    name = _own_name(node)
    return name.endswith("_") and not name.endswith("__")


def _own_name(node: fx.Node) -> str:
    if node.target is operator.getitem:
        return "getitem"
    parts = str(node.target).split(".")
    return parts[min(1, len(parts) - 1)]


def named_arguments(node: fx.Node) -> dict[str, Any]:
    """The arguments of a call by the names of its schema, defaults filled in."""
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    given = dict(zip((argument.name for argument in schema), node.args, strict=False)) | dict(node.kwargs)
    defaults = {a.name: a.default_value if a.has_default_value() else None for a in schema}
    return {name: given.get(name, default) for name, default in defaults.items()}


def numbers_of(node: fx.Node) -> Any:
    """The arguments of a call but for the tensors."""
    return map_arg((node.args, node.kwargs), lambda _: None)


def aligns(node: fx.Node) -> bool:
    """Whether an operator puts the positions of its operands side by side."""
    return torch.Tag.pointwise in getattr(node.target, "tags", ()) or operator_name(node) in ("cat", "where")


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
