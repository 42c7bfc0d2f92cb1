import pytest
import torch
from torch import Tensor, nn

from atrous.geometry.coverage import coverage
from atrous.geometry.gridding import find_gridding
from atrous.models.catalog import build_network
from atrous.models.drn import DRN, UnshortenedBlock, from_authors, is_authors
from atrous.models.pretrained import initialize_
from atrous.models.resnet import BasicBlock

IMAGES = torch.zeros(1, 3, 64, 64, device="meta")


def drn(name: str, num_classes: int = 21) -> DRN:
    with torch.device("meta"):
        network = build_network(name, num_classes=num_classes).eval()
    assert isinstance(network, DRN)
    return network


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("drn_c_26", 21.1), ("drn_d_22", 16.4), ("drn_d_38", 26.5), ("drn_d_54", 35.8), ("drn_d_105", 54.8)],
)
def test_classifiers_have_the_published_number_of_parameters(name, parameters):
    assert round(drn(name, 1000).num_parameters() / 1e6, 1) == parameters


def as_published(network: DRN, *, is_segmentation: bool) -> dict[str, Tensor]:
    """The network's tensors by the authors' names, written out from their modules' order."""
    is_c = "layer1.0.conv1.weight" in network.state_dict()
    plain = {"layer0.0": "conv1", "layer0.1": "bn1"} if is_c else {}
    children = ["conv1", "bn1", "relu"] if is_c else ["layer0"]
    children += [f"layer{number}" for number in range(1, 9)]
    published: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        layer, kind = name.rsplit(".", 1)
        own = f"{plain.get(layer, layer)}.{kind}"
        first, rest = own.split(".", 1)
        if is_segmentation and first != "seg":
            own = f"base.{children.index(first)}.{rest}"
        published["fc." + rest if first == "seg" and not is_segmentation else own] = value
    if is_segmentation:
        classes = network.num_classes
        published["up.weight"] = torch.empty(classes, 1, 16, 16, device="meta")
    return published


@pytest.mark.parametrize("is_segmentation", [False, True])
@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("drn_c_26", {False: ("conv1.weight", "layer8.0.bn2.bias", "fc.weight"),
                      True: ("base.0.weight", "base.1.running_var", "base.3.0.conv1.weight", "seg.bias")}),
        ("drn_d_22", {False: ("layer0.0.weight", "layer1.1.bias", "layer7.0.weight", "fc.bias"),
                      True: ("base.0.0.weight", "base.6.1.conv2.weight", "base.8.1.weight", "seg.weight")}),
    ],
)  # fmt: skip
def test_authors_weights_find_their_layers(name, known, is_segmentation):
    network = drn(name, 19)
    published = as_published(network, is_segmentation=is_segmentation)
    assert set(known[is_segmentation]) <= published.keys()
    assert is_authors(published)
    assert network.misfits(from_authors(published, network)) == ()
    fewer = drn(name, 5)
    assert fewer.misfits(from_authors(published, fewer)) == ("seg.weight", "seg.bias")


@pytest.mark.slow
def test_training_starts_from_the_authors_classifier(tmp_path):
    torch.manual_seed(0)
    network, other = build_network("drn_c_26", num_classes=7), build_network("drn_c_26", num_classes=3)
    assert isinstance(network, DRN)
    torch.save(as_published(network, is_segmentation=False), tmp_path / "drn_c_26.pth")
    start = initialize_(other, tmp_path / "drn_c_26.pth")
    assert start.fresh == ("seg.weight", "seg.bias")
    given, loaded = network.state_dict(), other.state_dict()
    assert all(loaded[name].equal(given[name]) for name in given if not name.startswith("seg."))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["drn_c_26", "drn_d_22"])
def test_last_two_layers_join_the_grids(name):
    """Figure 5: what dilation leaves apart in layer6, dilation 2 and then 1 bring together."""
    network = drn(name)
    before = find_gridding(network, IMAGES, layer="layer6")
    assert before is not None
    assert before.grids == (2, 2)
    assert 0.25 < before.fraction < 0.27  # of the cells of layer4
    assert find_gridding(network, IMAGES, layer="layer7") is not None
    assert find_gridding(network, IMAGES) is None
    assert coverage(network, IMAGES, layer="layer7", source="layer6").axis(0).seen[1::2].sum() == 0
    assert coverage(network, IMAGES, source="layer6").fraction == 1


@pytest.mark.parametrize(("block", "low", "high"), [(UnshortenedBlock, 0.2, 0.4), (BasicBlock, 0.5, 0.7)])
def test_shortcuts_would_pass_the_grids_on(block, low, high):
    """Section 4: a quarter of the cells that an output reads lie on its own grid; so should what counts."""
    for seed in range(3):
        torch.manual_seed(seed)
        degridding = nn.Sequential(*(block(32, 32, stride=1, dilations=(d, d)) for d in (2, 1))).eval()
        features = torch.randn(1, 32, 17, 17, requires_grad=True)
        output = degridding(features)[0, :, 8, 8]
        (output * torch.randn_like(output)).sum().backward()
        assert features.grad is not None
        energy = features.grad[0].square().sum(0)
        assert low < energy[::2, ::2].sum() / energy.sum() < high
