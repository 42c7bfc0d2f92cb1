"""The naive ways: what they are said to be, and where the arguments against them hold."""

import torch
from torch import nn

from atrous.models.catalog import build_network
from atrous.models.compact import compact, compact_context
from atrous.models.context import DILATIONS
from atrous.models.naive import naive_large_filters, naive_late_upsampling, naive_skips


def test_large_filters_see_what_the_context_module_sees_by_many_more_weights():
    with torch.device("meta"):
        large, dilated, front_end = naive_large_filters(6), compact_context(6), compact(6)
    assert large.geometry == dilated.geometry
    filters, context = (network.num_parameters() - front_end.num_parameters() for network in (large, dilated))
    assert context == 36 * (7 * 9 + 1) + 8 * 6
    assert filters == 36 * (sum((2 * dilation + 1) ** 2 for dilation in DILATIONS) + 1) + 8 * 6
    assert filters > 20 * context


def test_large_filters_that_are_zero_between_dilated_taps_are_the_context_module():
    torch.manual_seed(0)
    large, dilated = naive_large_filters(3).double(), compact_context(3).double()
    dilated.context.start_(noise=0.05)
    large.body.load_state_dict(dilated.front_end.state_dict())
    for filters, conv in zip(large.head.children(), dilated.context.layers, strict=True):
        if isinstance(filters, nn.Conv2d) and isinstance(conv, nn.Conv2d):
            step = conv.dilation[0]
            nn.init.zeros_(filters.weight)
            filters.weight.data[..., ::step, ::step] = conv.weight.data
            filters.bias.data = conv.bias.data  # type: ignore[union-attr]
    images = torch.randn(1, 3, 61, 50, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(large(images), dilated(images))


def test_large_filters_start_as_the_front_end():
    torch.manual_seed(0)
    network = naive_large_filters(4)
    images = torch.randn(1, 3, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(network(images), network.body(images).clamp(min=0))


def test_late_upsampling_sees_as_far_in_cells_eight_times_as_long():
    network = naive_late_upsampling()
    assert network.receptive_field < compact_context().receptive_field < 1.05 * network.receptive_field
    assert network.output_stride == 8 * compact_context().output_stride


def test_skips_are_added():
    """Where nothing comes up from 1/8 and 1/16, logits still change with the image, by the skip at 1/4."""
    torch.manual_seed(0)
    network = naive_skips(3).double()
    for path in ("body.down.3.1.0", "body.down.4.2.0", "body.merge.0.0"):
        nn.init.zeros_(network.get_submodule(path).weight)  # type: ignore[arg-type]
    with torch.no_grad():
        first, second = (network(torch.randn(1, 3, 40, 33, dtype=torch.float64)) for _ in range(2))
    assert not torch.allclose(first, second)


def test_they_are_of_one_size_class():
    with torch.device("meta"):
        sizes = [
            build_network(name, num_classes=6).num_parameters()
            for name in ("compact", "naive_no_pooling", "naive_late_upsampling", "naive_skips")
        ]
    assert max(sizes) < 5 * min(sizes)
