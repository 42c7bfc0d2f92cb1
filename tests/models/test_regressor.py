import pytest
import torch

from atrous.errors import ConfigError
from atrous.models.catalog import build_network, network_of, to_checkpoint
from atrous.models.contract import IMAGENET_BGR, PLAIN_RGB
from atrous.models.regressor import Regressor


def test_the_module_works_on_features_and_may_give_negative_values():
    torch.manual_seed(0)
    network = build_network("compact_regressor", num_classes=2)
    assert isinstance(network, Regressor)
    assert (network.context.num_classes, network.final.out_channels) == (32, 2)
    assert network.receptive_field == 296
    values = network(torch.randn(1, 3, 16, 20))
    assert (values < 0).any()
    assert (values > 0).any()


@pytest.mark.parametrize("name", ["compact", "compact_regressor"])
def test_networks_of_pairs_come_back_from_their_checkpoint(name):
    network = build_network(name, num_classes=2, in_channels=6)
    checkpoint = to_checkpoint(network, name=name, labels={}, progress={})
    again = network_of(checkpoint, source="here")
    pair = torch.randn(1, 6, 12, 16)
    assert again.num_channels == 6
    assert torch.equal(again(pair), network.eval()(pair))


def test_other_networks_see_one_image():
    with pytest.raises(
        ConfigError,
        match=r'"frontend" takes its own channels alone, and not 6; choose compact or compact_regressor$',
    ):
        build_network("frontend", in_channels=6)


@pytest.mark.parametrize("normalization", [PLAIN_RGB, IMAGENET_BGR])
def test_each_image_of_a_pair_is_normalized_as_alone(normalization):
    pair = torch.rand(2, 6, 3, 4) * 255
    normalized = normalization.apply(pair)
    alone = torch.cat([normalization.apply(pair[:, :3]), normalization.apply(pair[:, 3:])], 1)
    assert torch.equal(normalized, alone)
    torch.testing.assert_close(normalization.undo(normalized), pair)
