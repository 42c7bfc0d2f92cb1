"""Small networks that show the patterns of large ones."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def seeded(network: nn.Module) -> nn.Module:
    """The network in evaluation mode, in float64, with statistics that are not zero and one."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if buffer.is_floating_point():
                noise = torch.rand(buffer.shape, generator=generator)
                buffer.copy_(noise + 0.5 if name.endswith("var") else noise - 0.5)
    return network.double().eval()


class SqueezeExcite(nn.Module):
    """A gate from the mean over the map, by functions (timm) or by modules (torchvision)."""

    def __init__(self, channels: int, *, functions: bool) -> None:
        super().__init__()
        self.pool = None if functions else nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True) if self.pool is None else self.pool(x)
        return x * self.gate(mean).sigmoid()


class Block(nn.Module):
    """A bottleneck with grouped and depthwise convolutions, a gate, and a shortcut."""

    def __init__(self, channels: int, out: int, stride: int, *, average: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, groups=2, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 5, 1, 2, groups=out)
        self.se = SqueezeExcite(out, functions=average)
        if average:  # ResNet-D
            pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)
            self.shortcut = nn.Sequential(pool, nn.Conv2d(channels, out, 1))
        else:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.se(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + self.shortcut(x))


class Residual(nn.Module):
    """Stride 16, pooled and classified."""

    def __init__(self, *, average: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 4, 7, 2, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        self.layer1 = Block(4, 4, 1)
        self.layer2 = nn.Sequential(Block(4, 6, 2, average=average), Block(6, 6, 1))
        self.layer3 = nn.Sequential(Block(6, 8, 2, average=average), Block(8, 8, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 5)

    def features(self, x: Tensor) -> Tensor:
        return self.layer3(self.layer2(self.layer1(self.stem(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.avgpool(self.features(x)), 1))


class FlatHead(nn.Module):
    """VGG: pools of two, an adaptive pool that changes nothing at 32 pixels, linear layers on a flat map."""

    def __init__(self, *, ceil_mode: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels, out in ((3, 4), (4, 6), (6, 6)):
            layers += [
                nn.Conv2d(channels, out, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2, 2, ceil_mode=ceil_mode),
            ]
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((4, 4))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(6 * 16, 7), nn.ReLU(), nn.Linear(7, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class Transition(nn.Module):
    """DenseNet: concatenation, average pool between the blocks, and a head that is all functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 4, 3, 2, 1)
        self.grow1 = nn.Conv2d(4, 2, 3, padding=1)
        self.pool1 = nn.AvgPool2d(2, 2)
        self.grow2 = nn.Conv2d(6, 2, 3, padding=1)
        self.pool2 = nn.AvgPool2d(3, 2, 1)
        self.norm = nn.BatchNorm2d(8)
        self.classifier = nn.Linear(8, 5)

    def features(self, x: Tensor) -> Tensor:
        x = self.conv0(x)
        x = self.pool1(torch.cat([x, self.grow1(x)], 1))
        x = self.pool2(torch.cat([x, self.grow2(x)], 1))
        return functional.relu(self.norm(x))

    def forward(self, x: Tensor) -> Tensor:
        pooled = functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(pooled, 1))


class Mixed(nn.Module):
    """Inception: an average pool that is a function, inside a module of branches."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, 2, 1)
        self.three = nn.Conv2d(channels, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(functional.avg_pool2d(x, 3, 1, 1)), self.three(x)], 1)


class SameConv2d(nn.Conv2d):
    """A convolution that pads in its forward for ceil(size / stride) cells, from its own numbers."""

    def forward(self, input: Tensor) -> Tensor:
        amounts = []
        for dim in (1, 0):
            size, stride = input.shape[2 + dim], self.stride[dim]
            span = (self.kernel_size[dim] - 1) * self.dilation[dim] + 1
            total = max((-(-size // stride) - 1) * stride + span - size, 0)
            amounts += [total // 2, total - total // 2]
        return functional.conv2d(
            functional.pad(input, amounts),
            self.weight,
            self.bias,
            self.stride,
            0,
            self.dilation,
            self.groups,
        )


class StandardizedConv2d(nn.Conv2d):
    """A convolution that changes its weight in its forward."""

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return functional.conv2d(
            input, weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class Fusion(nn.Module):
    """HRNet: a branch at half the size comes back by nearest upsampling, and leaves again."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1)
        self.high = nn.Conv2d(4, 4, 3, 2, 1)
        self.low = nn.Conv2d(4, 4, 3, 2, 1)
        self.up = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Upsample(scale_factor=2, mode="nearest"))
        self.down = nn.Conv2d(4, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        high = self.high(self.stem(x))
        low = self.low(high)
        return low + self.down(high + self.up(low))


class Gate(nn.Module):
    """CBAM: the gate of the channels, to be multiplied outside; by functions or by modules."""

    def __init__(self, channels: int, *, functions: bool) -> None:
        super().__init__()
        self.pool = None if functions else nn.AdaptiveMaxPool2d(1)
        self.linear = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.amax((2, 3)) if self.pool is None else self.pool(x).flatten(1)
        return self.linear(pooled).sigmoid()[..., None, None]


class Gated(nn.Module):
    """Stride and gate side by side, so that no module round the pool takes and returns maps of one stride."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, 2, 1)
        self.gate = nn.Conv2d(4, 4, 1) if kind == "inline" else Gate(4, functions=kind == "functions")
        self.pool = nn.AdaptiveAvgPool2d(1) if kind == "inline" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * self.gate(self.pool(x)).sigmoid()


class Bare(nn.Module):
    """A flattened map without a pool before it, and more than a linear layer after it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)
        self.fc = nn.Sequential(nn.Linear(4 * 8 * 8, 6), nn.ReLU(), nn.Linear(6, 5), nn.LogSoftmax(1))

    def features(self, x: Tensor) -> Tensor:
        return self.conv2(functional.relu(self.conv1(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.features(x), 1))
