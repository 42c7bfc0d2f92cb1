"""Yu & Koltun, Multi-Scale Context Aggregation by Dilated Convolutions, ICLR 2016: its numbers, recomputed.

Where arithmetic refutes what is often said about the paper, the truth is tested and the saying quoted.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional

from atrous.layers.init import identity_
from atrous.models.catalog import build_network
from atrous.models.context import ContextModule
from atrous.models.contract import DenseNetwork
from atrous.models.dilated_net import DilatedNet
from atrous.models.frontend import FrontEnd


def meta_network(name, num_classes=21) -> DenseNetwork:
    with torch.device("meta"):
        return build_network(name, num_classes=num_classes)


def meta_front_end(num_classes=21) -> FrontEnd:
    with torch.device("meta"):
        return FrontEnd(num_classes)


def convolutions(layers: nn.Module) -> dict[str, nn.Conv2d]:
    return {name: layer for name, layer in layers.named_children() if isinstance(layer, nn.Conv2d)}


# The front end: section 4, as released

TABLE = [  # layer, channels, kernel, dilation
    ("conv1_1", 64, 3, 1), ("conv1_2", 64, 3, 1),
    ("conv2_1", 128, 3, 1), ("conv2_2", 128, 3, 1),
    ("conv3_1", 256, 3, 1), ("conv3_2", 256, 3, 1), ("conv3_3", 256, 3, 1),
    ("conv4_1", 512, 3, 1), ("conv4_2", 512, 3, 1), ("conv4_3", 512, 3, 1),
    ("conv5_1", 512, 3, 2), ("conv5_2", 512, 3, 2), ("conv5_3", 512, 3, 2),
    ("fc6", 4096, 7, 4), ("fc7", 4096, 1, 1), ("final", 21, 1, 1),
]  # fmt: skip


def test_front_end_has_the_layers_of_the_table():
    """Often given as conv4 dilated by 2 and conv5 by 4, or as VGG without fc6 and fc7."""
    layers = convolutions(meta_front_end().layers)
    sizes = [(name, conv.out_channels, conv.kernel_size, conv.dilation) for name, conv in layers.items()]
    assert sizes == [(name, channels, (k, k), (d, d)) for name, channels, k, d in TABLE]
    assert all(conv.padding == (0, 0) and conv.stride == (1, 1) for conv in layers.values())


def test_front_end_rectifies_all_but_the_last_and_drops_half_after_fc6_and_fc7():
    layers = list(meta_front_end().layers)
    after = [type(layers[i + 1]) for i, layer in enumerate(layers[:-1]) if isinstance(layer, nn.Conv2d)]
    assert after == [nn.ReLU] * 15
    assert isinstance(layers[-1], nn.Conv2d)
    assert [layer.p for layer in layers[-6:] if isinstance(layer, nn.Dropout)] == [0.5, 0.5]


def test_receptive_field_after_each_layer_of_the_front_end():
    fields, field, step = [], 1, 1
    for name, layer in meta_front_end().layers.named_children():
        if isinstance(layer, nn.Conv2d):
            field += (layer.kernel_size[0] - 1) * int(layer.dilation[0]) * step
            fields.append(field)
        elif name.startswith("pool"):
            field += step
            step *= 2
            fields.append(field)
    assert fields == [3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 124, 156, 188, 380, 380, 380]
    assert step == 8


def test_front_end_ends_at_stride_8_with_a_margin_of_186():
    """Often given as stride 4."""
    network = meta_front_end()
    assert network.output_stride == 8
    assert network.receptive_field == 380
    assert network.margin == (380 - 8) // 2 == 186
    assert network.center == 3.5


@pytest.mark.parametrize(
    ("side", "cells"), [(500, 16), (628, 32), (852, 60), (900, 66), (1396, 128), (1100, 91), (1640, 159)]
)
def test_front_end_gives_an_eighth_of_the_input_less_the_margins(
    side, cells
):  # as released; 1640 / 8 rounds up
    logits = meta_front_end()(torch.empty(1, 3, side, 380, device="meta"))
    assert logits.shape == (1, 21, cells, 1)
    assert cells == -(-(side - 372) // 8)


@pytest.mark.parametrize(
    ("num_classes", "parameters"), [(21, 134_346_581), (19, 134_338_387), (11, 134_305_611)]
)
def test_parameters_of_the_front_end(num_classes, parameters):
    assert meta_network("frontend", num_classes).num_parameters() == parameters
    assert meta_network("frontend_same", num_classes).num_parameters() == parameters


# The context module: section 3

DILATIONS = (1, 1, 2, 4, 8, 16, 1)


@pytest.mark.parametrize(
    ("variant", "widths"),
    [("basic", (1, 1, 1, 1, 1, 1, 1, 1)), ("large", (2, 2, 4, 8, 16, 32, 32, 1))],
)
def test_context_module_has_the_layers_of_the_table(variant, widths):  # table 1
    """Often given as dilations 1, 2, 4, 8, 16, 1."""
    layers = list(convolutions(ContextModule(3, variant=variant).layers).values())
    assert [layer.kernel_size for layer in layers] == [(3, 3)] * 7 + [(1, 1)]
    assert [layer.dilation for layer in layers] == [(d, d) for d in (*DILATIONS, 1)]
    assert [layer.out_channels for layer in layers] == [3 * width for width in widths]
    assert [layer.in_channels for layer in layers] == [3, *(3 * width for width in widths[:-1])]


def test_context_module_rectifies_after_every_layer_but_the_last():  # section 3, "max(., 0)"
    layers = list(ContextModule(3).layers)
    assert [type(layer) for layer in layers] == [nn.Conv2d, nn.ReLU] * 7 + [nn.Conv2d]


def test_context_module_sees_67_cells():  # table 1, receptive field
    cut_off = [ContextModule(1, dilations=DILATIONS[:depth]) for depth in range(1, 8)]
    assert [module.receptive_field for module in cut_off] == [3, 5, 9, 17, 33, 65, 67]
    assert ContextModule(1).receptive_field == 67
    assert ContextModule(1, dilations=DILATIONS[1:]).receptive_field == 65  # the saying above


@pytest.mark.parametrize(
    ("dilations", "cells", "pixels"),
    [
        ((1, 1, 2, 4, 8, 1), 35, 652),  # Dilation7, KITTI
        (DILATIONS, 67, 908),  # Dilation8, VOC and CamVid
        ((1, 1, 2, 4, 8, 16, 32, 64, 1), 259, 2444),  # Dilation10, Cityscapes
    ],
)
def test_receptive_fields_of_the_released_networks(dilations, cells, pixels):
    with torch.device("meta"):
        network = DilatedNet(front_end=FrontEnd(2), context=ContextModule(2, dilations=dilations))
    assert network.context.receptive_field == cells
    assert network.receptive_field == 380 + (cells - 1) * 8 == pixels


@pytest.mark.parametrize("num_classes", [2, 11, 19, 21])
def test_parameters_of_the_context_module_are_quadratic_in_its_classes(num_classes):
    with torch.device("meta"):
        basic, large = (ContextModule(num_classes, variant=variant) for variant in ("basic", "large"))
    c = num_classes
    assert sum(p.numel() for p in basic.parameters()) == 64 * c**2 + 8 * c
    assert sum(p.numel() for p in large.parameters()) == 15_422 * c**2 + 97 * c


def test_parameters_of_the_context_module_for_pascal_voc():  # section 3: "64 C^2", about 28K
    front_end = meta_network("frontend").num_parameters()
    assert meta_network("dilation8").num_parameters() - front_end == 28_392
    assert meta_network("dilation8_large").num_parameters() - front_end == 6_803_139


@pytest.mark.parametrize("variant", ["basic", "large"])
def test_context_module_starts_as_an_average_over_each_class(variant):  # equations 4 and 5
    c = 3
    for layer in convolutions(ContextModule(c, variant=variant).layers).values():
        group_in, group_out = (torch.arange(n) * c // n for n in (layer.in_channels, layer.out_channels))
        expected = torch.zeros_like(layer.weight)
        middle = layer.kernel_size[0] // 2
        expected[:, :, middle, middle] = (group_out[:, None] == group_in) * c / layer.out_channels
        assert layer.weight.equal(expected)
        assert layer.bias is not None
        assert not layer.bias.any()


def test_released_filler_draws_noise_for_basic_too():
    """The paper's Basic has none; the released filler draws all, then sets the taps that match."""
    torch.manual_seed(0)
    weight = identity_(nn.Conv2d(21, 21, 3), num_groups=21, noise=0.01).weight.detach()
    torch.manual_seed(0)
    blob = nn.Conv2d(21, 21, 3).weight.detach().normal_(0, 0.01)
    blob[range(21), range(21), 1, 1] = 1
    assert weight.equal(blob)


# Removing a pool: section 4


def test_a_pool_kept_at_stride_1_is_the_same_function_and_a_pool_dropped_is_not():
    """Often given as: drop the pool, dilate what follows, and nothing changes."""
    torch.manual_seed(0)
    images, weight = torch.randn(1, 2, 20, 20), torch.randn(3, 2, 3, 3)
    original = functional.conv2d(functional.max_pool2d(images, 2, stride=2), weight)
    kept = functional.conv2d(functional.max_pool2d(images, 2, stride=1), weight, dilation=2)
    dropped = functional.conv2d(images, weight, dilation=2)
    torch.testing.assert_close(kept[..., ::2, ::2], original)
    assert not dropped[..., ::2, ::2].allclose(original)
