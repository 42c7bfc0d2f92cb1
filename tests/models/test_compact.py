"""The compact network with pools, with dilation in their place, and with neither: one set of weights."""

import torch

from atrous.models.catalog import build_network


def test_dilation_in_place_of_pools_takes_the_same_weights():
    torch.manual_seed(0)
    weights = build_network("compact", num_classes=4).state_dict()
    for name in ("compact_dilated", "naive_no_pooling"):
        assert build_network(name, num_classes=4).misfits(weights) == ()


def test_dilation_keeps_the_field_that_removed_pools_lose():
    """32 px with pools; of those, the pools' own windows are 1 + 2 px, and all else stays by dilation."""
    pooled, dilated, bare = (
        build_network(name).receptive_field for name in ("compact", "compact_dilated", "naive_no_pooling")
    )
    assert dilated == pooled - (1 + 2)
    assert bare == 1 + 6 * 2  # six 3x3 convolutions, whatever is between


def test_without_pools_between_equal_pixels_dilation_is_the_pooled_network():
    """On an image whose pixels are 4 x 4 blocks of one color, away from borders, a flat one: same logits."""
    torch.manual_seed(0)
    pooled, dilated = (build_network(name, num_classes=4).double() for name in ("compact", "compact_dilated"))
    dilated.load_state_dict(pooled.state_dict())
    flat = torch.randn(1, 3, 1, 1, dtype=torch.float64).expand(1, 3, 96, 96)
    with torch.no_grad():
        cell, pixel = pooled(flat)[..., 12, 12], dilated(flat)[..., 48, 48]
    torch.testing.assert_close(cell, pixel)
