"""Where the head begins, in modules and in functions, and what becomes of it."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import SurgeryError
from atrous.geometry.receptive_field import receptive_field
from atrous.surgery.changes import subsample
from atrous.surgery.convolutionize import WindowLinear
from atrous.surgery.dilate import dilate
from atrous.surgery.plan import plan_surgery
from surgery.networks import FlatHead, Residual, Transition, seeded


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


def test_logits_of_the_original_are_the_mean_of_the_dense_ones_where_the_head_is_linear(x: Tensor):
    network = seeded(Residual())
    dense = dilate(network, EXAMPLE, output_stride=4, head="dense")
    torch.testing.assert_close(subsample(dense(x), (4, 4)).mean((2, 3)), network(x))


@pytest.mark.parametrize(
    "network", [FlatHead(), FlatHead(ceil_mode=True), Bare()], ids=["pool", "ceil", "bare"]
)
def test_flattened_map_becomes_a_dilated_convolution(network: nn.Module, x: Tensor):
    network = seeded(network)
    dense = dilate(network, EXAMPLE, output_stride=2, head="dense")
    torch.testing.assert_close(subsample(dense(x), (4, 4))[..., 0, 0], network(x))
    assert dense(x).shape == ((2, 5, 4, 4) if isinstance(network, FlatHead) else (2, 5, 2, 2))
    assert {key: value.shape for key, value in dense.state_dict().items()} == {
        key: value.shape for key, value in network.state_dict().items()
    }


def test_window_layer_is_dilated_by_the_removed_stride_and_sees_what_the_flattened_map_saw():
    network = seeded(FlatHead())
    dense = dilate(network, EXAMPLE, output_stride=2, head="dense")
    assert isinstance(dense, FlatHead)
    layer = dense.classifier[1]
    assert isinstance(layer, WindowLinear)
    assert (layer.window, layer.spread) == ((4, 4), (4, 4))
    # pool3 of three stages: 22 px at stride 8; four cells of it: 22 + 3 * 8
    assert receptive_field(dense, EXAMPLE).local == (46, 46)


def test_vgg_head_gives_one_result_a_window_on_larger_images():
    network = seeded(FlatHead())
    dense = dilate(network, EXAMPLE, output_stride=4, head="dense")
    x = torch.randn(1, 3, 56, 64, dtype=torch.float64)
    corner = network(x[..., :32, :32])  # borders differ: zeros there, the image here
    assert dense(x).shape == (1, 5, 8, 10)
    assert dense(x[..., :32, :32])[..., 0, 0].allclose(corner)


def test_pool_of_fixed_size_stays_a_window_in_a_dense_head(x: Tensor):
    network = seeded(Reused())
    dense = dilate(network, EXAMPLE, output_stride=2, head="dense")
    torch.testing.assert_close(dense(x)[..., 0, 0], network(x))
    assert receptive_field(dense, EXAMPLE).local == (7 + 7 * 4,) * 2


class NarrowVgg16(nn.Module):
    """VGG-16 with four channels in all layers."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for count in (2, 2, 3, 3, 3):
            for _ in range(count):
                layers += [nn.Conv2d(4 if layers else 3, 4, 3, padding=1), nn.ReLU(inplace=True)]
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(nn.Linear(4 * 49, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def test_vgg16_without_its_last_pools_is_the_papers_front_end():
    """FACTS section 2: conv4 as it was, conv5 dilated by 2, fc6 by 4, receptive field 380."""
    torch.manual_seed(0)
    network, example = NarrowVgg16(), torch.zeros(1, 3, 224, 224)
    dense = dilate(network, example, pools="drop", head="dense")
    assert isinstance(dense, NarrowVgg16)
    dilations = [layer.dilation[0] for layer in dense.features if isinstance(layer, nn.Conv2d)]
    assert dilations == [1] * 10 + [2] * 3
    assert [isinstance(dense.features[place], nn.Identity) for place in (9, 16, 23, 30)] == [
        False,
        False,
        True,
        True,
    ]
    assert dense.classifier[0].spread == (4, 4)
    assert receptive_field(dense, example).size == (380, 380)


def test_vgg16_with_its_pools_keeps_its_receptive_field():
    """FACTS section 9: 212 at pool5; fc6 reads seven cells at stride 32."""
    torch.manual_seed(0)
    network, example = NarrowVgg16(), torch.zeros(1, 3, 224, 224)
    dense = dilate(network, example)
    assert receptive_field(dense, example).size == (212, 212)
    assert dense(example).shape == (1, 4, 28, 28)
    whole = dilate(network, example, head="dense")
    assert receptive_field(whole, example).size == (212 + 6 * 32,) * 2


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


def test_a_head_that_counts_on_the_number_of_images_is_refused_as_dense():
    class Counted(Residual):
        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.avgpool(self.features(x)).view(len(x), -1))

    dilate(seeded(Counted()), EXAMPLE, output_stride=8)
    with pytest.raises(SurgeryError, match="the head of Counted does not run on every cell"):
        dilate(seeded(Counted()), EXAMPLE, output_stride=8, head="dense")


def test_a_head_that_hard_codes_its_pool_in_a_function_is_refused():
    class Pooled(FlatHead):
        def forward(self, x: Tensor) -> Tensor:
            return self.classifier(torch.flatten(functional.adaptive_avg_pool2d(self.features(x), (4, 4)), 1))

    with pytest.raises(SurgeryError, match=r"adaptive_avg_pool2d between the last map and the linear layer"):
        plan_surgery(seeded(Pooled()), EXAMPLE, output_stride=2, head="dense")


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
