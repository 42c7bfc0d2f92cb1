"""Batch norms folded into convolutions: the same function, and only where it is."""

import pytest
import torch
from torch import Tensor, nn

from atrous.errors import GeometryError
from atrous.surgery.dilate import dilate
from atrous.surgery.fold import fold_batch_norms
from surgery.networks import seeded


class Bottleneck(nn.Module):
    """ResNet's, written by functions where it can be."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        # Registered in another order than they are called in.
        self.bn2, self.bn1, self.bn3 = nn.BatchNorm2d(width), nn.BatchNorm2d(width), nn.BatchNorm2d(4 * width)
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=2, bias=False)
        self.conv3 = nn.Conv2d(width, 4 * width, 1)
        self.down = nn.Sequential(nn.Conv2d(channels, 4 * width, 1, stride), nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y)).relu_()
        return (self.bn3(self.conv3(y)) + self.down(x)).relu_()


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.blocks = nn.Sequential(Bottleneck(4, 4, 1), Bottleneck(16, 4, 2), Bottleneck(16, 4, 2))
        self.fc = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))


class DRN(nn.Module):
    """Dilated convolutions, padded as "same", and a block whose batch norms stand before them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding="same", dilation=2), nn.BatchNorm2d(4))
        self.before = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=4, dilation=4))
        self.last = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4, affine=False))

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.last(y + self.before(y))


def num_batch_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    ("network", "left"),
    [(ResNet(), 0), (DRN(), 1), (dilate(ResNet(), torch.zeros(1, 3, 64, 64), output_stride=4), 0)],
    ids=["resnet", "drn", "dilated resnet"],
)
def test_folding_keeps_the_function(network, left):
    network = seeded(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.randn(2, 3, 37, 45, dtype=torch.float64)
    folded = fold_batch_norms(network, torch.zeros(1, 3, 64, 64, dtype=torch.float64))
    assert num_batch_norms(folded) == left < num_batch_norms(network)
    torch.testing.assert_close(folded(images), network(images), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)
    rough = folded.float()(images.float())
    torch.testing.assert_close(rough, network.float()(images.float()), rtol=1e-4, atol=1e-4)


def test_folding_changes_nothing_without_batch_norms():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    folded = fold_batch_norms(network, torch.zeros(1, 3, 9, 9))
    images = torch.randn(1, 3, 9, 9)
    assert torch.equal(folded(images), network(images))
    assert folded.get_submodule("0") is not network[0]


class Stubborn(nn.Module):
    """A convolution and a batch norm that must not be joined."""

    def __init__(self, case: str) -> None:
        super().__init__()
        self.case = case
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3, track_running_stats=case != "statistics of the batch")
        self.other = nn.BatchNorm2d(3)
        if case == "computed weight":
            nn.utils.parametrizations.weight_norm(self.conv)
        if case == "hook":
            self.norm.register_forward_hook(lambda *given: 2 * given[2])

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.case == "read twice":
            return self.norm(y) + y
        if self.case == "two norms":
            return self.norm(y) + self.other(y)
        if self.case == "convolution twice":
            return self.norm(self.conv(y))
        if self.case == "norm twice":
            return self.norm(self.norm(y))
        if self.case == "between":
            return self.norm(y.relu())
        return self.norm(y)


CASES = (
    "read twice",
    "two norms",
    "convolution twice",
    "norm twice",
    "between",
    "computed weight",
    "hook",
    "statistics of the batch",
)


@pytest.mark.parametrize("case", CASES)
def test_folding_leaves_what_does_not_stand_alone(case):
    network = seeded(Stubborn(case))
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    folded = fold_batch_norms(network, images)
    assert isinstance(folded.norm, nn.BatchNorm2d)
    assert torch.equal(folded(images), network(images))


def test_folding_replaces_a_batch_norm_under_all_its_names():
    network = seeded(Stubborn("plain"))
    network.alias = network.norm
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    folded = fold_batch_norms(network, images)
    assert isinstance(folded.norm, nn.Identity)
    assert isinstance(folded.alias, nn.Identity)
    torch.testing.assert_close(folded(images), network(images))


def test_folding_refuses_what_cannot_be_exported():
    class Undecided(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(x) if x.sum() > 0 else x

    with pytest.raises(GeometryError, match="cannot be traced"):
        fold_batch_norms(Undecided(), torch.zeros(1, 3, 8, 8))
