"""A flattened map and its linear layer become a convolution, with the paper's front end as one case."""

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
from surgery.networks import Bare, FlatHead, seeded

EXAMPLE = torch.zeros(1, 3, 32, 32, dtype=torch.float64)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 32, 32, dtype=torch.float64)


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_vgg16_with_its_pools_keeps_its_receptive_field():
    """FACTS section 9: 212 at pool5; fc6 reads seven cells at stride 32."""
    torch.manual_seed(0)
    network, example = NarrowVgg16(), torch.zeros(1, 3, 224, 224)
    dense = dilate(network, example)
    assert receptive_field(dense, example).size == (212, 212)
    assert dense(example).shape == (1, 4, 28, 28)
    whole = dilate(network, example, head="dense")
    assert receptive_field(whole, example).size == (212 + 6 * 32,) * 2


def test_a_head_that_hard_codes_its_pool_in_a_function_is_refused():
    class Pooled(FlatHead):
        def forward(self, x: Tensor) -> Tensor:
            return self.classifier(torch.flatten(functional.adaptive_avg_pool2d(self.features(x), (4, 4)), 1))

    with pytest.raises(SurgeryError, match=r"adaptive_avg_pool2d between the last map and the linear layer"):
        plan_surgery(seeded(Pooled()), EXAMPLE, output_stride=2, head="dense")
