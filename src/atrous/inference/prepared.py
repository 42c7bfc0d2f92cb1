"""A network made ready for one device and precision: weights converted once, batch norms folded."""

import copy

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from atrous.errors import GeometryError
from atrous.models.contract import DenseNetwork
from atrous.surgery.fold import BATCH_NORMS, fold_batch_norms

EXAMPLE_SIDE = 224  # pixels without the margin; what classifiers, and so their dense copies, are made for
VOLUME_SIDE = 40  # voxels


class Prepared(nn.Module):
    """Images in float32 or its own dtype in, logits in float32 out; it can be exported, and so streamed.

    Args:
        network: With all weights where and in the dtype they shall be computed in.
        dtype: What images are converted to.

    Attributes:
        num_folded: Batch norms that became part of a convolution.
    """

    def __init__(self, network: nn.Module, *, dtype: torch.dtype, num_folded: int = 0) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype
        self.num_folded = num_folded

    def forward(self, images: Float[Tensor, "b c *spatial"]) -> Float32[Tensor, "b k *cells"]:
        """Logits of normalized images, margin included where the network has one."""
        converted = images.to(self.dtype)
        if images.ndim > 3:
            channels_last = torch.channels_last if images.ndim == 4 else torch.channels_last_3d
            converted = converted.contiguous(memory_format=channels_last)
        return self.network(converted).float()


def prepared(network: DenseNetwork, *, dtype: torch.dtype, device: torch.device) -> Prepared:
    """The network in channels_last, its weights in `dtype`, on the device.

    In float32 it is the network itself, moved as `network.to` moves it and else untouched, so its answers are
    bit for bit the network's, also after more training. In any other dtype it is a copy in evaluation mode,
    with batch norms folded in float32 before the weights are rounded.

    Weights are converted once and not under autocast at every call: the answers are the same numbers, without
    as many conversions as there are images.
    """
    if dtype == torch.float32:
        return Prepared(network.to(device, memory_format=network.memory_format), dtype=dtype)  # type: ignore[call-overload]
    folded = _folded(network)
    num_folded = _num_batch_norms(network) - _num_batch_norms(folded)
    _convert_(folded, dtype)
    folded.to(device, memory_format=network.memory_format)  # type: ignore[call-overload]
    return Prepared(folded, dtype=dtype, num_folded=num_folded).eval()


def _folded(network: DenseNetwork) -> nn.Module:
    """A copy with batch norms folded where it has any and lets itself be traced, else a plain one."""
    if not _num_batch_norms(network):
        return copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
    side = (VOLUME_SIDE if network.num_axes == 3 else EXAMPLE_SIDE) + 2 * network.margin
    weight = next(network.parameters())
    shape = (1, network.num_channels, *(side,) * network.num_axes)
    try:
        return fold_batch_norms(network, torch.zeros(shape, device=weight.device))
    except GeometryError:
        return copy.deepcopy(network).eval().requires_grad_(requires_grad=False)


def _num_batch_norms(network: nn.Module) -> int:
    return sum(type(module) in BATCH_NORMS for module in network.modules())


def _convert_(network: nn.Module, dtype: torch.dtype) -> None:
    """Round all weights but those of batch norms, whose statistics float32 costs nothing; in place."""
    for module in network.modules():
        if type(module) in BATCH_NORMS:
            continue
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.is_floating_point():
                setattr(module, name, nn.Parameter(parameter.to(dtype), requires_grad=False))
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_floating_point():
                setattr(module, name, buffer.to(dtype))
