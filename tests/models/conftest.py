"""What the tests of networks share: copies so small that what they see can be measured."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from atrous.layers.attention import ChannelNorm, NeighborhoodAttention
from atrous.layers.upsample import BilinearUpsampling
from atrous.models.backbone import Backbone, Stage
from atrous.models.catalog import build_network
from atrous.models.contract import IMAGENET_BGR, AuxiliaryNetwork, DenseNetwork, LogitGeometry
from atrous.models.deeplab_v2 import Largest


class _Sum(nn.Module):
    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(maps).sum(0)


LAYERS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)


VARIANTS = {
    "wavenet_undilated": "wavenet",
    "dilation7_kitti": "dilation8",
    "dilation8_camvid": "dilation8",
    "fcn16s": "fcn8s",
    "fcn32s": "fcn8s",
    "fcn_resnet101": "fcn_resnet50",
    "deeplab_v2_msc": "deeplab_v2",
    "deeplab_v3": "deeplab_v3_resnet50",
    "deeplab_v3_resnet101": "deeplab_v3_resnet50",
    "drn_d_38": "drn_d_22",
    "drn_d_54": "drn_d_22",
    "drn_d_105": "drn_d_22",
    "hdc_duc_aspp": "hdc_duc",
    "efficientnet_lite0_frontend": "efficientnet_lite0",
    "street_frontend": "street",
}
"""Networks made of another one's parts: heavy tests run on that one, and on these with -m exhaustive."""


class OneStage(Backbone):
    """As a classifier made dense by surgery is."""

    def __init__(self) -> None:
        super().__init__()
        self.normalization = IMAGENET_BGR
        self.stages = (Stage(3, LogitGeometry(32, 0.0, 1)),)

    def forward(self, images):
        return (images[..., ::32, ::32],)


@cache
def on_meta(name: str, num_classes: int = 21) -> DenseNetwork:
    """A network of the catalog without values: shapes only."""
    with torch.device("meta"):
        return build_network(name, num_classes=num_classes).eval()


def narrow_(network: DenseNetwork) -> DenseNetwork:
    """Leave one channel everywhere, in float64: same kernels, strides, dilations, paddings and pools.

    Where branches are joined there are as many channels as branches, which the first image run shows; the
    largest of several maps becomes their sum, which reads the same and passes every gradient.
    """
    for path, layer in list(network.named_modules()):
        for kind, build in _NARROW.items():
            if isinstance(layer, kind):
                network.set_submodule(path, build(layer))
    network.eval()
    side = 64 + 2 * network.margin
    images = torch.zeros(1, network.num_channels, *(side,) * network.num_axes, dtype=torch.float64)
    with torch.no_grad():
        forward(network, images)
        network.apply(_positive_)
        for layer in network.modules():
            if isinstance(layer, NeighborhoodAttention):
                nn.init.zeros_(layer.query.weight)  # equal shares: a mean, which keeps signs and orders
    return network


def _positive_(layer: nn.Module) -> None:
    """Every tap the same share; in place."""
    if isinstance(layer, LAYERS):
        nn.init.constant_(layer.weight, 1 / layer.weight.numel())
        if layer.bias is not None:
            nn.init.constant_(layer.bias, 0.0)


def _one_head(layer: NeighborhoodAttention) -> NeighborhoodAttention:
    """The same neighborhood, of one channel."""
    return NeighborhoodAttention(
        1, num_heads=1, kernel_size=layer.kernel_size, dilation=layer.dilation
    ).double()


class _Copies(nn.Module):
    """As many channels as a pixel shuffle lays out."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        return cells.expand(-1, self.number, -1, -1)


def _one_channel(layer: nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d) -> nn.Module:
    """The same layer of one channel out, for however many come in."""
    shape = {
        "kernel_size": layer.kernel_size, "stride": layer.stride, "padding": layer.padding,
        "dilation": layer.dilation, "bias": layer.bias is not None, "dtype": torch.float64,
    }  # fmt: skip
    if isinstance(layer, nn.ConvTranspose2d):
        return nn.LazyConvTranspose2d(1, output_padding=layer.output_padding, **shape)  # type: ignore[arg-type]
    lazy = nn.LazyConv3d if isinstance(layer, nn.Conv3d) else nn.LazyConv2d
    return lazy(1, **shape)  # type: ignore[arg-type]


_NARROW: dict[Any, Callable[[Any], nn.Module]] = {
    LAYERS: _one_channel,
    NeighborhoodAttention: _one_head,
    nn.PixelShuffle: lambda layer: nn.Sequential(_Copies(layer.upscale_factor**2), layer),
    (nn.BatchNorm2d, nn.BatchNorm3d, ChannelNorm): lambda _: nn.Identity(),
    nn.ReLU6: lambda _: nn.ReLU(),  # values grow without norms, and must get through
    Largest: lambda _: _Sum(),
    BilinearUpsampling: lambda layer: BilinearUpsampling(1, factor=layer.factor).double(),
}
"""How a layer of a kind becomes one of one channel."""


def forward(network: DenseNetwork, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The logits, and the auxiliary ones of networks that have them."""
    if isinstance(network, AuxiliaryNetwork):
        return network.forward_with_auxiliary(images)
    return (network(images),)


@pytest.fixture
def build_narrow() -> Callable[[str], DenseNetwork]:
    """Builds a network of the catalog one channel wide, all taps positive: every ReLU passes everything."""

    def build(name: str) -> DenseNetwork:
        with torch.device("meta"):
            network = build_network(name, num_classes=1)
        return narrow_(network)

    return build


@pytest.fixture
def measure_field() -> Callable[..., tuple[int, int]]:
    """Measures the first and the last pixel that cell `cell` of a positive network sees, on every axis.

    On an image that grows down and to the right every max pool passes the gradient to its last pixel, on one
    that shrinks to its first; averages with positive weights keep both orders.
    """

    def seen(network: nn.Module, images: torch.Tensor, cell: int) -> torch.Tensor:
        images = images.clone().requires_grad_()
        network(images)[(0, 0, *(cell,) * (images.ndim - 2))].backward()
        assert images.grad is not None
        return images.grad[0, 0].nonzero()

    def measure(
        network: nn.Module, *, side: int, cell: int, num_axes: int = 2, num_channels: int = 3
    ) -> tuple[int, int]:
        position = torch.arange(1, side + 1, dtype=torch.float64)
        growing = sum(torch.meshgrid(*[position] * num_axes, indexing="ij"))
        assert isinstance(growing, torch.Tensor)
        images = growing.expand(1, num_channels, *growing.shape)
        (first,) = set(seen(network, images.max() + 1 - images, cell).amin(0).tolist())
        (last,) = set(seen(network, images, cell).amax(0).tolist())
        return first, last

    return measure
