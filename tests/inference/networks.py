"""Networks so narrow that tests can afford their hundreds of pixels."""

import torch
from torch import nn

from atrous.layers.upsample import BilinearUpsampling
from atrous.models.catalog import build_network
from atrous.models.contract import DenseNetwork
from atrous.models.frontend import FrontEnd, Head

CHANNELS = 8


def narrow_front_end(num_classes: int) -> FrontEnd:
    """The released front end, stride 8 and margin 186, with eight channels in every layer."""
    with torch.device("meta"):
        network = FrontEnd(num_classes, head=Head(channels=CHANNELS, kernel_size=7, dilation=4))
    for path, layer in list(network.named_modules()):
        if isinstance(layer, nn.Conv2d):
            given = 3 if path == "layers.conv1_1" else CHANNELS
            made = num_classes if path == "layers.final" else CHANNELS
            conv = nn.Conv2d(given, made, layer.kernel_size, dilation=layer.dilation)  # type: ignore[arg-type]
            nn.init.kaiming_normal_(conv.weight)
            network.set_submodule(path, conv)
    _spread_(network)
    return network


def _spread_(network: FrontEnd) -> None:
    """Give every class logits of mean 0 and deviation 2 on noise."""
    weight, bias = (network.get_parameter(f"layers.final.{name}") for name in ("weight", "bias"))
    with torch.no_grad():
        logits = network(torch.randint(-110, 110, (1, 3, 500, 500)).float())
        scale = 2 / logits.std((0, 2, 3))
        weight.mul_(scale[:, None, None, None])
        bias.sub_(logits.mean((0, 2, 3))).mul_(scale)


def edgy(name: str) -> DenseNetwork:
    """A network of the catalog, one channel wide in float64, that weighs most what lies farthest off."""
    with torch.device("meta"):
        network = build_network(name)
    for path, layer in list(network.named_modules()):
        if isinstance(layer, nn.Conv2d):
            conv = nn.Conv2d(
                3 if layer.in_channels == 3 else 1,
                1,
                layer.kernel_size,  # type: ignore[arg-type]
                padding=layer.padding,  # type: ignore[arg-type]
                dilation=layer.dilation,  # type: ignore[arg-type]
                dtype=torch.float64,
            )
            with torch.no_grad():
                nn.init.uniform_(conv.weight, 0.5, 1.0)  # positive, so that every ReLU passes everything
                conv.weight[:, :, 1:-1] *= 0.1
                conv.weight[:, :, :, 1:-1] *= 0.1
                conv.weight /= conv.weight.sum()
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            network.set_submodule(path, conv)
        elif isinstance(layer, BilinearUpsampling):
            network.set_submodule(path, BilinearUpsampling(1, factor=layer.factor).double())
    return network.eval()
