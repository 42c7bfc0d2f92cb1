import pytest
import torch
from torch import nn

from atrous.jobs.network_cost import multiply_adds, network_cost
from atrous.models.catalog import build_network


def by_hooks(name, height, width):
    """Multiply-adds of every convolution of a real forward pass: weights that meet at each output cell."""
    network, total = build_network(name, num_classes=3).eval(), 0

    def count(layer, _, output):
        nonlocal total
        total += layer.weight[0].numel() * output[0].numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    margin = 2 * network.margin
    with torch.no_grad():
        network(torch.zeros(1, 3, height + margin, width + margin))
    return total


def test_cost_is_counted_at_the_size_of_the_image():
    with torch.device("meta"):
        network = build_network("compact_context", num_classes=3)
    for size in ((40, 56), (33, 21)):
        cost = network_cost(network, image_size=size)
        assert cost.multiply_adds == multiply_adds(network, image_size=size)
        assert cost.multiply_adds == by_hooks("compact_context", *size)
        assert cost.image_size == size
    assert cost.parameters == sum(value.numel() for value in network.state_dict().values())
    assert (cost.field, cost.output_stride, cost.sees_all) == (296, 4, False)


@pytest.mark.slow
def test_a_network_with_a_global_path_sees_all():
    with torch.device("meta"):
        network = build_network("deeplab_v3_mobilenet_v3_large", num_classes=3).eval()
    cost = network_cost(network, image_size=(64, 64))
    assert cost.sees_all
    assert cost.field == network.receptive_field
