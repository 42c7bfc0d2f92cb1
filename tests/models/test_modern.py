import pytest
import torch

from atrous.geometry.receptive_field import receptive_field
from atrous.models.catalog import build_network
from atrous.models.modern import ModernNetwork


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["vgg16", "resnet18", "mobilenet_v2", "efficientnet_lite0"])
def test_stages_of_every_backbone_are_joined_where_they_were_seen(backbone):
    with torch.device("meta"):
        network = build_network("modern", backbone=backbone).eval()
    field = receptive_field(network, torch.zeros(1, 3, 64, 64, device="meta"))
    assert field.local == (network.receptive_field,) * 2
    assert field.stride == (4, 4) == (network.output_stride,) * 2
    assert field.center == (network.center,) * 2
    assert not any(layer.misalignment for layer in field.layers)


@torch.no_grad()
def test_skip_tells_pixels_apart_that_share_a_coarse_cell():
    torch.manual_seed(0)
    network = build_network("modern", num_classes=2, backbone="resnet18").eval()
    assert isinstance(network, ModernNetwork)
    images = torch.randn(1, 3, 64, 64)
    coarse = network.backbone(images)[-1]
    changed = images.clone()
    changed[..., 30:34, 30:34] += 1
    assert coarse.shape[2:] == (4, 4)
    difference = (network(changed) - network(images)).abs().amax(1)[0]
    assert difference.shape == (16, 16)
    assert difference.argmax().item() in [16 * row + column for row in (7, 8, 9) for column in (7, 8, 9)]
