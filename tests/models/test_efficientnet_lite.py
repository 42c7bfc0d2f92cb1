import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import ConfigError
from atrous.models.catalog import build_network
from atrous.models.efficientnet_lite import NORMALIZATION, EfficientNetLite0, from_package
from atrous.models.packaged_weights import starting_weights
from atrous.models.pretrained import initialize_
from atrous.surgery.dilate import dilate
from models.efficientnet_package import as_packaged, write_package


def with_statistics_(network: nn.Module) -> nn.Module:
    """Batch norms that do something, in float64."""
    torch.manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_var, 0.5, 2.0)  # type: ignore[arg-type]
            nn.init.normal_(layer.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.normal_(layer.bias, std=0.5)
    return network.double().eval()


def same(features: Tensor, conv: nn.Conv2d) -> Tensor:
    """TensorFlow's "same": as many zeros as needed, the odd one on the right."""
    pads: list[int] = []
    stride, size = conv.stride[0], conv.kernel_size[0]
    for side in reversed(features.shape[2:]):
        total = max((-(-side // stride) - 1) * stride + size - side, 0)
        pads += [total // 2, total - total // 2]
    return functional.conv2d(functional.pad(features, pads), conv.weight, stride=stride, groups=conv.groups)


def forward_as_published(network: EfficientNetLite0, images: Tensor, *, num_blocks: int) -> Tensor:
    """The authors' network, written from its definition."""
    features = functional.relu6(network.bn0(same(images, network.conv_stem)))
    for block in list(network.blocks)[:num_blocks]:
        assert isinstance(block, nn.Module)
        wide = features
        if hasattr(block, "expand_conv"):
            wide = functional.relu6(block.bn0(same(wide, block.expand_conv)))  # type: ignore[operator, arg-type]
        wide = functional.relu6(block.bn1(same(wide, block.depthwise_conv)))  # type: ignore[operator, arg-type]
        out = block.bn2(same(wide, block.project_conv))  # type: ignore[operator, arg-type]
        features = features + out if out.shape == features.shape else out
    return features


@torch.no_grad()
def test_cells_compute_what_the_authors_do_for_the_pixel_they_are_centered_on():
    network = with_statistics_(EfficientNetLite0())
    assert isinstance(network, EfficientNetLite0)
    images = torch.randn(1, 3, 160, 160, dtype=torch.float64)
    stage = network.stages[2]  # of stride 8; a cell of the authors' is centered 1 + 2 + 4 pixels after ours
    published = forward_as_published(network, images, num_blocks=5)
    ours = network(images[..., 7:, 7:])[2]
    edge = stage.geometry.receptive_field // 2 // 8 + 1
    assert published.shape[2] > 2 * edge + 2
    inside = (..., slice(edge, -edge), slice(edge, -edge))
    torch.testing.assert_close(ours[inside], published[inside])


@pytest.mark.slow
@torch.no_grad()
def test_output_stride_8_is_what_surgery_makes_of_32():
    class Last(nn.Module):
        def __init__(self, backbone: nn.Module) -> None:
            super().__init__()
            self.backbone = backbone

        def forward(self, images: Tensor) -> Tensor:
            return self.backbone(images)[-1]

    classifier = with_statistics_(EfficientNetLite0())
    dense = EfficientNetLite0(output_stride=8).double().eval()
    dense.load_state_dict(classifier.state_dict())
    images = torch.randn(1, 3, 65, 97, dtype=torch.float64)
    made = dilate(Last(classifier), images, output_stride=8, pools="keep", head="features")
    torch.testing.assert_close(made(images), dense(images)[-1])
    torch.testing.assert_close(dense(images)[-1][..., ::4, ::4], classifier(images)[-1])


def test_weights_by_the_packages_names_find_their_layers():
    network = EfficientNetLite0()
    found = from_package(as_packaged(network))
    assert {name: value.shape for name, value in found.items()} == {
        name: value.shape for name, value in network.state_dict().items()
    }
    known = {"conv_stem.weight", "bn0.running_var", "blocks.0.depthwise_conv.weight", "blocks.15.bn2.bias"}
    assert known <= found.keys()
    assert len(found) == 288  # of the package's 296


def test_training_starts_from_the_installed_package(tmp_path, monkeypatch):
    backbone = EfficientNetLite0()
    write_package(tmp_path, backbone)
    monkeypatch.syspath_prepend(str(tmp_path))
    network = build_network("efficientnet_lite0", num_classes=3)
    path = starting_weights(None, network)
    assert path is not None
    start = initialize_(network, path)
    assert network.normalization == NORMALIZATION
    assert all(name.startswith(("front_end.classifier.", "context.")) for name in start.fresh)
    loaded = network.state_dict()
    given = {f"front_end.backbone.{name}": value for name, value in backbone.state_dict().items()}
    assert all(loaded[name].equal(value) for name, value in given.items())


def test_missing_package_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    write_package(tmp_path, None)
    monkeypatch.syspath_prepend(str(tmp_path))  # hides one that is installed
    with torch.device("meta"):
        network = build_network("modern", backbone="efficientnet_lite0")
        other = build_network("compact")
    with pytest.raises(ConfigError, match=r"pip install 'atrous\[pretrained\]'"):
        starting_weights(None, network)
    assert starting_weights(tmp_path, network) == tmp_path
    assert starting_weights(None, other) is None
