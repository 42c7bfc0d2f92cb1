"""Batch norms folded into the convolutions before them: the same function in evaluation mode, fewer passes.

Pairs are found in the exported graph, not by name or order of registration: a convolution whose result goes
into a batch norm and nowhere else.
"""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from atrous.geometry.program import export_program, named_arguments, operator_name

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")


def fold_batch_norms(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy in evaluation mode, in which every batch norm right after a convolution is part of it.

    Its answers are equal up to rounding. What shares its weights with another layer, feeds anything beside
    its batch norm, computes its weights, or carries hooks stays as it is, as do subclasses, whose forward may
    do more.

    Args:
        network: It is left as it is.
        example: An input that its forward takes; the pairs are those of the path that this input takes.

    Raises:
        GeometryError: If the network cannot be exported on the example.
    """
    folded = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
    if not any(type(module) in BATCH_NORMS for module in folded.modules()):
        return folded
    for convolution, norm in list(_pairs(folded, export_program(folded, example))):
        _fold_(convolution, norm)
        for path, module in list(folded.named_modules(remove_duplicate=False)):
            if module is norm:
                folded.set_submodule(path, nn.Identity())
    return folded


def _pairs(
    network: nn.Module, program: torch.export.ExportedProgram
) -> Iterator[tuple[nn.Conv1d | nn.Conv2d | nn.Conv3d, nn.BatchNorm2d]]:
    """Modules that can be joined, each pair once."""
    signature = program.graph_signature
    tensors = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    for node in program.graph.nodes:
        if node.op != "call_function" or operator_name(node) != "batch_norm":
            continue
        given = named_arguments(node)
        source = given["input"]
        if given["training"] or operator_name(source) not in _CONVOLUTIONS or len(source.users) > 1:
            continue
        own = ("weight", "bias", "running_mean", "running_var")
        norm = _owner(network, [given[name] for name in own], tensors)
        convolved = named_arguments(source)
        convolution = _owner(network, [convolved["weight"], convolved["bias"]], tensors)
        if type(convolution) in CONVOLUTIONS and type(norm) in BATCH_NORMS and not _has_hooks(norm):
            yield convolution, norm  # type: ignore[misc]


def _owner(network: nn.Module, operands: list[fx.Node | None], tensors: dict[str, str]) -> nn.Module | None:
    """The one module that these operands are the own tensors of, if nothing else in the graph reads them."""
    given = [operand for operand in operands if operand is not None]
    if not given or any(operand.name not in tensors or len(operand.users) > 1 for operand in given):
        return None
    paths = {tensors[operand.name].rpartition(".")[0] for operand in given}
    return network.get_submodule(paths.pop()) if len(paths) == 1 else None


def _has_hooks(module: nn.Module | None) -> bool:
    return module is not None and bool(module._forward_hooks or module._forward_pre_hooks)


def _fold_(convolution: nn.Conv1d | nn.Conv2d | nn.Conv3d, norm: nn.BatchNorm2d) -> None:
    """Make a convolution do what its batch norm does after it; in place."""
    assert norm.running_mean is not None  # as an operand of the graph, see _owner
    assert norm.running_var is not None
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight,
        norm.bias,
    )  # fmt: skip
