import pytest
import torch

from atrous.errors import ConfigError
from atrous.models.street import StreetNet, street, street_frontend
from models.conftest import OneStage, on_meta


def test_it_fits_into_ten_megabytes_in_half_precision():
    network = on_meta("street", 11)
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_198_403
    assert 2 * sum(value.numel() for value in network.state_dict().values()) < 10e6


def test_a_fresh_context_module_passes_positive_scores_on():
    """It starts as the identity, behind a ReLU (Yu & Koltun 2016, equation 4)."""
    torch.manual_seed(0)
    network = street(5).eval()
    images = torch.randn(1, 3, 64, 80)
    with torch.no_grad():
        scores = network.front_end(images)
        assert torch.equal(network(images), scores.relu())


def test_every_part_beyond_the_backbone_is_new():
    network = street_frontend(5)
    new = tuple(network.new_layers())
    assert {name for name, _ in network.named_parameters() if not name.startswith(new)} == {
        f"backbone.{name}" for name, _ in network.backbone.named_parameters()
    }


def test_it_stands_on_other_backbones_with_stages_at_strides_8_and_4():
    network = street_frontend(3, backbone="resnet18").eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 65, 98)).shape == (1, 3, 17, 25)


def test_a_backbone_of_one_stage_is_refused():
    with pytest.raises(ConfigError, match="this backbone gives features at stride 32, and 8 is wanted"):
        StreetNet(OneStage(), num_classes=3)
