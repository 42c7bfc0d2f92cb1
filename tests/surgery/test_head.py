"""Where the head begins, in modules and in functions, and what becomes of it."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import SurgeryError
from atrous.geometry.receptive_field import receptive_field
from atrous.surgery.changes import subsample
from atrous.surgery.dilate import dilate
from atrous.surgery.plan import plan_surgery
from surgery.networks import Bare, Residual, Transition, seeded


class Functions(nn.Module):
    """Everything round the convolutions is a function, the residual sum before the head, too."""

    def __init__(self, head: str) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1)
        self.conv = nn.Conv2d(4, 4, 3, 2, 1)
        self.short = nn.Conv2d(4, 4, 1, 2)
        self.fc = nn.Linear(4, 5)
        self.head = head

    def features(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x))
        x = x * x.mean((2, 3), keepdim=True)
        return functional.leaky_relu(self.conv(x) + self.short(x))

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        match self.head:
            case "mean":
                x = x.mean((2, 3))
            case "mean of tokens":
                x = x.flatten(2).mean(-1)
            case "max":
                x = x.amax((-1, -2))
            case _:
                x = functional.adaptive_avg_pool2d(x, 1)[:, :, 0, 0]
        return self.fc(x)


class Reused(nn.Module):
    """One activation for all layers; a pool of fixed size before the linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)
        self.pool = nn.AvgPool2d(8)
        self.fc = nn.Linear(4, 5)

    def features(self, x: Tensor) -> Tensor:
        return self.act(self.conv2(self.act(self.conv1(x))))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.features(x))
        return self.fc(x.view(len(x), -1))


EXAMPLE = torch.zeros(1, 3, 32, 32, dtype=torch.float64)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 32, 32, dtype=torch.float64)


@pytest.mark.parametrize(
    "network",
    [
        Functions("mean"),
        Functions("mean of tokens"),
        Functions("max"),
        Functions("adaptive"),
        Reused(),
        Bare(),
        Transition(),
    ],
    ids=lambda network: getattr(network, "head", type(network).__name__),
)
@pytest.mark.parametrize("output_stride", [2, 4])
def test_features_are_the_map_that_the_head_takes(network: nn.Module, output_stride: int, x: Tensor):
    network = seeded(network)
    surgery = plan_surgery(network, EXAMPLE, output_stride=output_stride)
    dense = dilate(network, EXAMPLE, output_stride=output_stride)
    torch.testing.assert_close(subsample(dense(x), surgery.spread), network.features(x))  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.parametrize(
    "network", [Residual(), Transition(), Functions("max")], ids=lambda n: type(n).__name__
)
def test_dense_head_is_the_head_on_every_cell(network: nn.Module, x: Tensor):
    network = seeded(network)
    dense = dilate(network, EXAMPLE, output_stride=2, head="dense")
    features = dilate(network, EXAMPLE, output_stride=2)(x)
    linear = network.get_submodule("classifier" if isinstance(network, Transition) else "fc")
    expected = linear(features.movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(dense(x), expected)
    assert list(dense.state_dict()) == list(network.state_dict())


@pytest.mark.slow
def test_logits_of_the_original_are_the_mean_of_the_dense_ones_where_the_head_is_linear(x: Tensor):
    network = seeded(Residual())
    dense = dilate(network, EXAMPLE, output_stride=4, head="dense")
    torch.testing.assert_close(subsample(dense(x), (4, 4)).mean((2, 3)), network(x))


def test_pool_of_fixed_size_stays_a_window_in_a_dense_head(x: Tensor):
    network = seeded(Reused())
    dense = dilate(network, EXAMPLE, output_stride=2, head="dense")
    torch.testing.assert_close(dense(x)[..., 0, 0], network(x))
    assert receptive_field(dense, EXAMPLE).local == (7 + 7 * 4,) * 2


def test_a_network_that_returns_a_map_needs_no_head(x: Tensor):
    network = seeded(nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 5, 3, 2, 1)))
    for head in ("features", "dense"):
        surgery = plan_surgery(network, EXAMPLE, output_stride=2, head=head)
        assert surgery.original == ()
        torch.testing.assert_close(subsample(surgery.apply(network)(x), (2, 2)), network(x))


def test_a_head_in_functions_survives_an_error_in_the_forward(x: Tensor):
    dense = dilate(seeded(Functions("mean")), EXAMPLE, output_stride=2)
    with pytest.raises(RuntimeError):
        dense(x[:, :2])
    assert torch.ones(2, 4, 3, 3).mean((2, 3)).shape == (2, 4)
    assert dense(x).shape == (2, 4, 16, 16)


def test_a_head_in_functions_exports_with_dynamic_sizes(x: Tensor):
    dense = dilate(seeded(Functions("mean")), EXAMPLE, output_stride=2)
    sizes = {2: torch.export.Dim("height", min=8), 3: torch.export.Dim("width", min=8)}
    program = torch.export.export(dense, (EXAMPLE,), dynamic_shapes=(sizes,), strict=False)
    torch.testing.assert_close(program.module()(x[:1, :, :20, :27]), dense(x[:1, :, :20, :27]))


@pytest.mark.slow
def test_a_head_that_counts_on_the_number_of_images_is_refused_as_dense():
    class Counted(Residual):
        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.avgpool(self.features(x)).view(len(x), -1))

    dilate(seeded(Counted()), EXAMPLE, output_stride=8)
    with pytest.raises(SurgeryError, match="the head of Counted does not run on every cell"):
        dilate(seeded(Counted()), EXAMPLE, output_stride=8, head="dense")


def test_attention_over_tokens_is_no_head():
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 4, 4)
            self.attention = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(self.patches(x).flatten(2).transpose(1, 2)).mean(1)

    with pytest.raises(SurgeryError, match="goes on with tokens after its last map"):
        plan_surgery(Tokens(), torch.zeros(1, 3, 32, 32), output_stride=2)


def test_rearranged_maps_are_refused_not_silently_replaced():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1))

        def forward(self, x):
            return self.layers(x).transpose(2, 3)

    with pytest.raises(SurgeryError, match=r"returns a map of shape .* not \(b, c, \*spatial\)"):
        dilate(Turned(), torch.zeros(1, 3, 33, 41), output_stride=1)


def test_group_norm_before_the_pool_belongs_to_the_map():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1), nn.GroupNorm(2, 4),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip
    assert (
        dilate(network, torch.zeros(1, 3, 33, 41), output_stride=1)(torch.zeros(1, 3, 33, 41)).shape[1] == 4
    )
