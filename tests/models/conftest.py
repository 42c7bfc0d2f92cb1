"""What the tests of networks share: copies so small that what they see can be measured."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from atrous.layers.upsample import BilinearUpsampling
from atrous.models.catalog import build_network
from atrous.models.contract import DenseNetwork


def narrow_(network: DenseNetwork) -> DenseNetwork:
    """Leave one channel everywhere, in float64: same kernels, strides, dilations, paddings and pools."""
    for path, layer in list(network.named_modules()):
        if isinstance(layer, nn.Conv2d):
            conv = nn.Conv2d(
                3 if layer.in_channels == 3 else 1,
                1,
                layer.kernel_size,  # type: ignore[arg-type]
                stride=layer.stride,  # type: ignore[arg-type]
                padding=layer.padding,  # type: ignore[arg-type]
                dilation=layer.dilation,  # type: ignore[arg-type]
                dtype=torch.float64,
            )
            nn.init.constant_(conv.weight, 1 / conv.weight.numel())
            nn.init.constant_(conv.bias, 0.0)  # type: ignore[arg-type]
            network.set_submodule(path, conv)
        elif isinstance(layer, BilinearUpsampling):
            network.set_submodule(path, BilinearUpsampling(1, factor=layer.factor).double())
    return network.eval()


@pytest.fixture
def build_narrow() -> Callable[[str], DenseNetwork]:
    """Builds a network of the catalog one channel wide, all taps positive: every ReLU passes everything."""

    def build(name: str) -> DenseNetwork:
        with torch.device("meta"):
            network = build_network(name)
        return narrow_(network)

    return build


@pytest.fixture
def measure_field() -> Callable[..., tuple[int, int]]:
    """Measures the first and the last pixel that cell `cell` of a positive network sees, on either axis.

    On an image that grows down and to the right every max pool passes the gradient to its last pixel, on one
    that shrinks to its first; averages with positive weights keep both orders.
    """

    def seen(network: nn.Module, image: torch.Tensor, cell: int) -> torch.Tensor:
        images = image.expand(1, 3, -1, -1).clone().requires_grad_()
        network(images)[0, 0, cell, cell].backward()
        assert images.grad is not None
        return images.grad[0, 0].nonzero()

    def measure(network: nn.Module, *, side: int, cell: int) -> tuple[int, int]:
        position = torch.arange(1, side + 1, dtype=torch.float64)
        growing = position[:, None] + position
        top, left = seen(network, 2 * side + 2 - growing, cell).amin(0).tolist()
        bottom, right = seen(network, growing, cell).amax(0).tolist()
        assert (top, bottom) == (left, right)
        return top, bottom

    return measure
