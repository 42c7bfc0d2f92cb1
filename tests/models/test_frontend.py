"""The front end: FACTS' table layer by layer, its two paddings and its two heads."""

import pytest
import torch
from torch import nn

from atrous.errors import ConfigError
from atrous.models.frontend import FrontEnd, Head

FIELDS = {  # Yu & Koltun 2016, section 4; pixels that each layer sees
    "conv1_1": 3, "conv1_2": 5, "pool1": 6, "conv2_1": 10, "conv2_2": 14, "pool2": 16,
    "conv3_1": 24, "conv3_2": 32, "conv3_3": 40, "pool3": 44, "conv4_1": 60, "conv4_2": 76, "conv4_3": 92,
    "conv5_1": 124, "conv5_2": 156, "conv5_3": 188, "fc6": 380, "fc7": 380, "final": 380,
}  # fmt: skip


def randomize_(network):
    """Weights of either sign and biases, so that ReLUs and pools have something to choose."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network


@pytest.mark.parametrize("layer", FIELDS)
def test_each_layer_sees_what_the_table_says(layer, build_narrow, measure_field):
    layers = build_narrow("frontend").layers
    names = [name for name, _ in layers.named_children()]
    cut = layers[: names.index(layer) + 1]
    first, last = measure_field(cut, side=380, cell=0)
    assert (first, last) == (0, FIELDS[layer] - 1)


@pytest.mark.parametrize("name", ["frontend_same", "frontend_light"])
def test_padded_front_ends_compute_the_same_away_from_the_border(name, build_narrow):
    padded, unpadded = randomize_(build_narrow(name)), build_narrow("frontend")
    if name == "frontend_light":
        unpadded.layers.fc6 = nn.Conv2d(1, 1, 3, dilation=12, dtype=torch.float64)
    unpadded.load_state_dict(padded.state_dict())
    images = torch.randn(1, 3, 396, 404, dtype=torch.float64)
    # Cell 24 is centered on pixel 24 * 8 + 3.5, and so is the window of 380 px that begins at pixel 6.
    torch.testing.assert_close(
        padded(images)[..., 24:25, 24:26], unpadded(images[..., 6 : 6 + 380, 6 : 6 + 388])
    )


def test_each_cell_of_the_unpadded_front_end_sees_a_window_of_its_own(build_narrow):
    network = randomize_(build_narrow("frontend"))
    images = torch.randn(1, 3, 372 + 10, 372 + 17, dtype=torch.float64)
    logits = network(images)
    assert logits.shape == (1, 1, 2, 3)
    for column in (0, 1):  # the last row and column lack pixels: ceil-mode pools
        window = images[..., :380, 8 * column : 8 * column + 380]
        torch.testing.assert_close(logits[..., :1, column : column + 1], network(window))


def test_the_last_layer_starts_near_zero():
    torch.manual_seed(0)
    network = FrontEnd(21, padding="same", head=Head(channels=64, kernel_size=3, dilation=12))
    final = network.layers.final
    assert isinstance(final, nn.Conv2d)
    assert final.weight.std().item() == pytest.approx(0.001, rel=0.1)  # released train.py
    assert final.bias is not None
    assert not final.bias.any()


def test_dropout_follows_both_layers_of_the_head_while_training():
    network = FrontEnd(3, padding="same", head=Head(channels=8, kernel_size=1, dilation=1, dropout=0.25))
    rates = {
        name: layer.p for name, layer in network.layers.named_children() if isinstance(layer, nn.Dropout)
    }
    assert rates == {"drop6": 0.25, "drop7": 0.25}
    images = torch.randn(1, 3, 16, 16)
    assert not network.train()(images).equal(network(images))
    assert network.eval()(images).equal(network(images))


def test_front_end_refuses_an_unknown_padding():
    with pytest.raises(ConfigError, match='the padding of a front end is "none" or "same", not "valid"'):
        FrontEnd(21, padding="valid")
