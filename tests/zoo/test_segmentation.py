"""Our networks by torchvision's names against torchvision's own: counts, state dicts, outputs, backbones."""

import importlib
import importlib.util

import pytest
import torch
from torch import nn

from atrous.errors import CheckpointError
from atrous.models.backbones import BACKBONES
from atrous.models.catalog import build_network
from atrous.models.contract import AuxiliaryNetwork
from atrous.models.foreign import foreign_network, import_torchvision
from atrous.models.torchvision_names import to_atrous
from atrous.ops.resample import upsample_logits

pytestmark = [
    pytest.mark.zoo,
    pytest.mark.filterwarnings("default"),  # of other people's code
    pytest.mark.skipif(
        importlib.util.find_spec("torchvision") is None,
        reason="torchvision is not installed; run scripts/zoo test",
    ),
]

SEGMENTATION = {  # ours, torchvision's, parameters with the auxiliary head
    "fcn_resnet50": ("fcn_resnet50", 35_322_218),
    "fcn_resnet101": ("fcn_resnet101", 54_314_346),
    "deeplab_v3_resnet50": ("deeplabv3_resnet50", 42_004_074),
    "deeplab_v3_resnet101": ("deeplabv3_resnet101", 60_996_202),
    "deeplab_v3_mobilenet_v3_large": ("deeplabv3_mobilenet_v3_large", 11_029_328),
}


def segmentation_network(name: str) -> nn.Module:
    import_torchvision()
    theirs = importlib.import_module("torchvision.models.segmentation")
    return getattr(theirs, name)(weights=None, weights_backbone=None, aux_loss=True)


def with_statistics_(network: nn.Module) -> nn.Module:
    """Statistics and scales as if it had been trained, so that a normalization left out shows; in place."""
    generator = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor, low in ((layer.running_mean, -0.2), (layer.running_var, 0.6), (layer.bias, -0.2)):
                assert tensor is not None
                tensor.data.copy_(low + 0.8 * torch.rand(tensor.shape, generator=generator))
    return network.eval()


@pytest.mark.parametrize("name", SEGMENTATION)
def test_state_dicts_load_unchanged_and_say_what_torchvision_says(name):
    torch.manual_seed(0)
    their_name, count = SEGMENTATION[name]
    theirs = with_statistics_(segmentation_network(their_name)).double()
    ours = build_network(name, num_classes=21).double().eval()
    assert isinstance(ours, AuxiliaryNetwork)
    assert ours.num_parameters() == count == sum(value.numel() for value in theirs.parameters())
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 81, 97, dtype=torch.float64)
    with torch.no_grad():
        wanted = theirs(images)
        for logits, key in zip(ours.forward_with_auxiliary(images), ("out", "aux"), strict=True):
            at_pixels = upsample_logits(logits, (81, 97), stride=1, center=0, mode="half_pixel")
            assert wanted[key].abs().max() > 0.01
            torch.testing.assert_close(at_pixels, wanted[key])


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "mobilenet_v2"])
def test_backbones_give_the_features_of_torchvision(name):
    """At output stride 32 everywhere, and dense ones at every second or fourth cell."""
    torch.manual_seed(0)
    classifier = with_statistics_(foreign_network(f"torchvision:{name}")).double()
    images = torch.randn(1, 3, 65, 97, dtype=torch.float64)
    with torch.no_grad():
        wanted = features_of(classifier, images)
        for output_stride in (32, 16, 8):
            backbone = BACKBONES[name](output_stride=output_stride).double().eval()
            with_backbone = {f"backbone.{key}": value for key, value in backbone.state_dict().items()}
            renamed = renamed_for_backbone(classifier.state_dict(), with_backbone)
            backbone.load_state_dict(renamed)
            skip = 32 // output_stride
            found = backbone(images)[-1][..., ::skip, ::skip]
            torch.testing.assert_close(found, wanted)


def features_of(classifier: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The last features that our backbone has, by a hook."""
    found = []
    last = classifier.get_submodule("features.17" if hasattr(classifier, "features") else "layer4")
    handle = last.register_forward_hook(lambda _module, _inputs, output: found.append(output))
    classifier(images)
    handle.remove()
    return found[0]


def renamed_for_backbone(tensors, own):
    renamed = {f"backbone.{key.removeprefix('features.')}": value for key, value in tensors.items()}
    return {key.removeprefix("backbone."): renamed[key] for key in own}


@pytest.mark.parametrize(
    ("classifier", "network"),
    [("resnet50", "deeplab_v3_resnet50"), ("resnet101", "deeplab_v3"), ("vgg16", "frontend_light")],
)
def test_a_classifier_starts_what_stands_on_it(classifier, network):
    tensors = foreign_network(f"torchvision:{classifier}").state_dict()
    found = to_atrous(tensors, network)
    with torch.device("meta"):
        ours = build_network(network)
    fresh = {name for name in ours.state_dict() if name not in found}
    assert found
    assert all(name.startswith(tuple(ours.new_layers())) for name in fresh)
    assert to_atrous_keeps_values(tensors, found) or classifier == "vgg16"


def to_atrous_keeps_values(given, found):
    return all(any(value is original for original in given.values()) for value in found.values())


def test_a_segmentation_network_is_taken_over_whole():
    tensors = segmentation_network("deeplabv3_mobilenet_v3_large").state_dict()
    found = to_atrous(tensors, "deeplab_v3_mobilenet_v3_large")
    build_network("deeplab_v3_mobilenet_v3_large", num_classes=21).load_state_dict(found)


def test_another_networks_weights_are_refused():
    tensors = foreign_network("torchvision:resnet18").state_dict()
    with pytest.raises(CheckpointError, match=r'not of what "deeplab_v3" stands on: backbone\.layer'):
        to_atrous(tensors, "deeplab_v3")


def test_pspnet_on_a_classifier_with_one_map_has_no_auxiliary_head():
    import_torchvision()
    network = build_network("pspnet", num_classes=3, backbone="torchvision:mobilenet_v2").eval()
    assert not isinstance(network, AuxiliaryNetwork)
    assert network(torch.zeros(1, 3, 65, 97)).shape == (1, 3, 9, 13)
