"""Small networks: of the catalog with few channels, one with every border, one that sees all."""

import torch
from torch import Tensor, nn

from atrous.models.catalog import build_network
from atrous.models.contract import DenseNetwork, LogitGeometry, Normalization
from atrous.models.frontend import FrontEnd, Head
from models.conftest import narrow_

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


class Small(DenseNetwork):
    """Stride 4 with a margin of 6, a crop at the start, and borders of three kinds."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.num_classes = 3
        self.normalization = Normalization((100.0, 110.0, 120.0), (50.0, 60.0, 70.0), "BGR")
        self.geometry = LogitGeometry(output_stride=4, center=1.5, receptive_field=41, margin=6)
        self.first = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
        self.pools = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), nn.Conv2d(4, 4, 3, stride=2, padding=1))
        self.last = nn.Sequential(nn.ReflectionPad2d(2), nn.Conv2d(4, 3, 3, dilation=2, padding=0))

    def forward(self, images):
        cells = self.last(self.pools(self.first(images)))
        return cells[..., 3:, 3:]

    def class_layers(self):
        return ()

    def new_layers(self):
        return ("last.",)


class Resizing(Small):
    """The same, with a coarser map brought to its size, corners aligned."""

    def forward(self, images):
        cells = super().forward(images)
        coarse = nn.functional.avg_pool2d(cells, 3, stride=2, padding=1)
        return cells + nn.functional.interpolate(coarse, cells.shape[2:], mode="bilinear", align_corners=True)


class SeesAll(Small):
    """The same, told its mean."""

    def forward(self, images):
        cells = super().forward(images)
        return cells - cells.mean((2, 3), keepdim=True)


def edgy(name: str) -> DenseNetwork:
    """A network of the catalog, one channel wide in float64, that weighs most what lies farthest off."""
    with torch.device("meta"):
        network = build_network(name)
    for layer in narrow_(network).modules():
        if isinstance(layer, nn.Conv2d):
            with torch.no_grad():
                nn.init.uniform_(layer.weight, 0.5, 1.0)  # positive, so that every ReLU passes everything
                layer.weight[:, :, 1:-1] *= 0.1
                layer.weight[:, :, :, 1:-1] *= 0.1
                layer.weight /= layer.weight.sum()
    return network


class UNet(nn.Module):
    """Skips whose branches wait for each other, a transposed convolution, and batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.deep = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=4, dilation=4), nn.ReLU())
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.last = nn.Conv2d(8, 3, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        skip = self.down(x)
        return self.last(torch.cat([self.up(self.deep(skip)), skip], 1))


def run(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network(images)
