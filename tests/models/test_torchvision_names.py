"""State dicts by torchvision's names, made from our own networks; the zoo has torchvision's."""

import pytest
import torch

from atrous.cli import main
from atrous.data.voc import VOC_LABELS
from atrous.errors import CheckpointError
from atrous.models.catalog import build_network, load_network
from atrous.models.pretrained import initialize_
from atrous.models.torchvision_names import import_segmentation, recognize, to_atrous


@pytest.fixture(scope="module")
def fcn():
    """The state dict of an FCN on ResNet-18 with the blocks that tell ResNet-50, of 21 classes."""
    with torch.device("meta"):
        return build_network("fcn_resnet50", num_classes=21).state_dict()


@pytest.mark.parametrize(
    "name",
    ["fcn_resnet50", "fcn_resnet101", "deeplab_v3_resnet50", "deeplab_v3_resnet101",
     "deeplab_v3_mobilenet_v3_large"],
)  # fmt: skip
def test_networks_are_told_from_their_names(name):
    with torch.device("meta"):
        tensors = build_network(name, num_classes=2).state_dict()
    assert recognize(tensors, source="x.pth") == name


@pytest.mark.parametrize(
    "tensors", [{}, {"backbone.conv1.weight": torch.zeros(1)}, {"fc.weight": torch.zeros(1)}]
)
def test_other_state_dicts_are_refused(tensors):
    with pytest.raises(CheckpointError, match=r"x\.pth holds neither VGG-16 nor an FCN or DeepLab v3"):
        recognize(tensors, source="x.pth")


@pytest.mark.parametrize(
    ("final", "message"),
    [
        (None, r"classifier\.4\.weight of x\.pth is missing"),
        (torch.zeros(0, 512, 1, 1), r"is \(0, 512, 1, 1\); it is \(classes, channels, 1, 1\), with 1 to 255"),
        (torch.zeros(5), r"is \(5,\); it is"),
    ],
)
def test_a_last_layer_that_is_none_is_refused(fcn, final, message):
    tensors = {**fcn, "classifier.4.weight": final}
    with pytest.raises(CheckpointError, match=message):
        import_segmentation({k: v for k, v in tensors.items() if v is not None}, source="x.pth")


def test_a_classifier_goes_under_the_backbone_without_its_classes():
    with torch.device("meta"):
        network = build_network("deeplab_v3_resnet50", num_classes=3)
    own = network.state_dict()
    names = [name.removeprefix("backbone.") for name in own if name.startswith("backbone.")]
    classifier = {name: own[f"backbone.{name}"] for name in names} | {"fc.weight": torch.zeros(1000, 2048)}
    found = to_atrous(classifier, "deeplab_v3_resnet50")
    assert found.keys() == {f"backbone.{name}" for name in names}
    with pytest.raises(CheckpointError, match=r'"deeplab_v3_mobilenet_v3_large" stands on: backbone\.conv1'):
        to_atrous(classifier, "deeplab_v3_mobilenet_v3_large")


@pytest.mark.slow
def test_a_classifier_of_the_backbone_starts_a_training(tmp_path):
    torch.manual_seed(0)
    network = build_network("deeplab_v3_resnet50", num_classes=3, backbone="resnet18")
    own = network.state_dict()
    body = {name.removeprefix("backbone."): torch.randn(value.shape) if value.is_floating_point() else value
            for name, value in own.items() if name.startswith("backbone.")}  # fmt: skip
    torch.save({**body, "fc.weight": torch.zeros(1000, 512)}, tmp_path / "resnet18.pth")
    start = initialize_(network, tmp_path / "resnet18.pth")
    assert len(start.loaded) == len(body)
    assert all(name.startswith(("classifier.", "aux_classifier.")) for name in start.fresh)
    assert network.state_dict()["backbone.layer4.1.bn2.running_mean"].equal(body["layer4.1.bn2.running_mean"])
    with pytest.raises(CheckpointError, match="fits neither the network nor its front end"):
        initialize_(build_network("deeplab_v3_resnet50", num_classes=3), tmp_path / "resnet18.pth")


@pytest.mark.slow
def test_a_segmentation_network_becomes_a_checkpoint(tmp_path, capsys):
    torch.manual_seed(0)
    ours = build_network("fcn_resnet50", num_classes=21).eval()
    tensors = {name: value for name, value in ours.state_dict().items() if not name.startswith("aux")}
    torch.save(tensors, tmp_path / "fcn.pth")
    output = tmp_path / "fcn.safetensors"
    assert main(["import", "torchvision", str(tmp_path / "fcn.pth"), "-o", str(output)]) == 0
    assert "fcn_resnet50, 21 classes: background, aeroplane" in capsys.readouterr().out
    loaded = load_network(output)
    images = torch.randn(1, 3, 40, 33)
    with torch.no_grad():
        assert loaded(images).equal(ours(images))
    assert VOC_LABELS.num_classes == loaded.num_classes
