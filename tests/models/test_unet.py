"""U-Net: the sizes of its figure, its parameters, and that both paddings are one network."""

from functools import partial

import pytest
import torch
from torch import nn

from atrous.errors import ConfigError
from atrous.models.unet import MARGIN, UNet


def sizes_after(network: UNet, side: int) -> dict[str, int]:
    """Height that every pair of convolutions leaves."""
    found: dict[str, int] = {}

    def note(name: str, part: nn.Module, given: object, made: torch.Tensor) -> None:  # noqa: ARG001
        found[name] = made.shape[2]

    parts = [(f"down{n}", part) for n, part in enumerate(network.down, start=1)]
    parts += [("bottom", network.bottom)]
    parts += [(f"up{n}", part) for n, part in enumerate(network.up, start=1)]
    for name, part in parts:
        part.register_forward_hook(partial(note, name))
    network(torch.empty(1, 3, side, side, device="meta"))
    return found


def test_572_pixels_become_388():  # figure 1
    with torch.device("meta"):
        network = UNet(2, padding="none", width=1).eval()
        sizes = sizes_after(network, 572)
        assert sizes == {
            "down1": 568, "down2": 280, "down3": 136, "down4": 64, "bottom": 28,
            "up4": 52, "up3": 100, "up2": 196, "up1": 388,
        }  # fmt: skip
        assert network(torch.empty(1, 3, 572, 572)).shape == (1, 2, 388, 388)
    assert MARGIN == (572 - 388) // 2


@pytest.mark.parametrize("padding", ["none", "same"])
def test_images_of_any_size_have_a_logit_at_every_pixel(padding):
    with torch.device("meta"):
        network = UNet(2, padding=padding, width=1).eval()
        for height in range(1, 34):  # every remainder by 16, twice
            images = torch.empty(1, 3, height + 2 * network.margin, 5 + 2 * network.margin)
            assert network(images).shape == (1, 2, height, 5)


def test_both_paddings_compute_the_same_away_from_the_border():
    torch.manual_seed(0)
    padded, unpadded = (UNet(2, padding=kind, width=2).double().eval() for kind in ("same", "none"))
    unpadded.load_state_dict(padded.state_dict())
    images = torch.randn(1, 3, 300, 300, dtype=torch.float64)
    # Valid pools begin 2, 6, 14 and 30 px further in, so that from 2 px on both pool the same pixels.
    window = images[..., 2 : 2 + 36 + 2 * MARGIN, 2 : 2 + 52 + 2 * MARGIN]
    with torch.no_grad():
        whole = padded(images)[..., 2 + MARGIN : 2 + MARGIN + 36, 2 + MARGIN : 2 + MARGIN + 52]
        torch.testing.assert_close(unpadded(window), whole)


def test_parameters_are_those_of_the_figure():
    down = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1024)]
    up = [(1024, 512), (512, 256), (256, 128), (128, 64)]
    pairs = sum(9 * (given + made) * made + 2 * made for given, made in [*down, *up])
    enlarged = sum(4 * given * made + made for given, made in up)
    with torch.device("meta"):
        assert UNet(2).num_parameters() == pairs + enlarged + 2 * 64 + 2 == 31_031_810
        assert UNet(2, width=32).num_parameters() < 31_031_810 / 3.9


def test_batch_normalization_takes_the_place_of_biases():
    with torch.device("meta"):
        plain, normalized = UNet(2, width=4), UNet(2, width=4, normalizes=True)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in plain.modules())
    pairs = [
        layer for layer in normalized.modules() if isinstance(layer, nn.Conv2d) and layer.padding == (1, 1)
    ]
    assert len(pairs) == sum(isinstance(layer, nn.BatchNorm2d) for layer in normalized.modules()) == 18
    assert all(conv.bias is None for conv in pairs)


def test_fresh_convolutions_keep_the_variance_of_what_they_read():  # section 3, deviation sqrt(2 / N)
    torch.manual_seed(0)
    network = UNet(2)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer is not network.final:
            incoming = layer.in_channels * layer.weight[0, 0].numel()
            assert layer.weight.std().item() == pytest.approx((2 / incoming) ** 0.5, rel=0.05)
        elif isinstance(layer, nn.ConvTranspose2d):  # each cell of the result is written once
            assert layer.weight.std().item() == pytest.approx((2 / layer.in_channels) ** 0.5, rel=0.05)


def test_unet_refuses_what_it_cannot_be():
    with pytest.raises(ConfigError, match=r'is "none" or "same", not "valid"'):
        UNet(2, padding="valid")
    with pytest.raises(ConfigError, match=r"0 channels wide is none; give at least 1"):
        UNet(2, width=0)
