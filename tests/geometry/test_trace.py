import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from atrous.errors import GeometryError
from atrous.geometry.axis import Global, Window
from atrous.geometry.graph import Layer
from atrous.geometry.receptive_field import receptive_field
from atrous.geometry.trace import trace
from geometry.networks import IMAGE, Lambda, conv


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()


def test_nodes_keep_module_paths_sizes_and_line():
    network = nn.Sequential(conv(stride=2, padding=1), nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)))
    graph = trace(network, IMAGE)
    assert [(node.operator, node.module, node.size) for node in graph] == [
        ("input", "", (32, 40)),
        ("conv2d", "0", (16, 20)),
        ("relu", "1.0", (16, 20)),
        ("max_pool2d", "1.1", (8, 10)),
    ]
    assert graph.output is graph["max_pool2d"]


def test_lines_point_into_the_users_code():
    graph = trace(SqueezeExcite(3), IMAGE)
    (pooled,) = [node for node in graph if node.operator == "mean"]
    assert "test_trace.py" in pooled.line
    assert "x.mean((2, 3), keepdim=True)" in pooled.line


def test_kernels_and_dilations_differ_by_axis():
    network = nn.Sequential(
        conv(kernel_size=(3, 5), stride=(2, 1), dilation=(1, 3)), conv(kernel_size=(1, 3))
    )
    field = receptive_field(network, IMAGE)
    assert field.size == (3, 1 + 4 * 3 + 2)
    assert field.stride == (2, 1)
    assert field.center == (1.0, 7.0)


def test_pads_of_every_kind_move_the_center_alike():
    fields = [
        receptive_field(nn.Sequential(pad, conv()), IMAGE)
        for pad in (
            nn.ZeroPad2d((1, 0, 2, 0)),
            nn.ReflectionPad2d((1, 0, 2, 0)),
            nn.ReplicationPad2d((1, 0, 2, 0)),
        )
    ]
    assert [field.center for field in fields] == [(-1.0, 0.0)] * 3
    assert {field.size for field in fields} == {(3, 3)}


def test_branches_reach_what_any_of_them_reaches():
    network = Lambda(
        lambda x, a, b, c: torch.cat([a(x), b(x), c(x)], dim=1),
        *(conv(padding=dilation, dilation=dilation) for dilation in (1, 6, 12)),
    )
    field = receptive_field(network, IMAGE)
    assert field.size == (25, 25)
    assert field.misalignment == 0


def test_branches_with_different_centers_are_reported():
    network = Lambda(lambda x, a, b: a(x) + b(x), conv(stride=2, padding=1), nn.AvgPool2d(2))
    field = receptive_field(network, IMAGE)
    assert field.misalignment == 0.5
    assert [layer.node.operator for layer in field.layers if layer.misalignment] == ["add"]


def test_squeeze_excite_is_global_with_a_finite_path_beside_it():
    field = receptive_field(
        nn.Sequential(conv(stride=2, padding=1), SqueezeExcite(3), conv(padding=1)), IMAGE
    )
    assert field.size == (math.inf, math.inf)
    assert field.local == (7, 7)
    assert (field.stride, field.center) == ((2, 2), (0.0, 0.0))
    assert field.box(3) == ((-math.inf, math.inf),) * 2


@pytest.mark.slow
def test_classifier_reports_the_field_of_its_last_map():
    network = nn.Sequential(conv(stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10))
    field = receptive_field(network, IMAGE)
    assert field.size == (math.inf, math.inf)
    assert (field.local, field.stride) == ((3, 3), (2, 2))
    assert not field.node.is_map


def test_pyramid_pooling_does_not_hide_the_finite_path():
    def pyramid(x, layer):
        pooled = functional.adaptive_avg_pool2d(layer(x), 2)
        return torch.cat([x, functional.interpolate(pooled, size=x.shape[2:], mode="bilinear")], dim=1)

    field = receptive_field(nn.Sequential(conv(padding=1), Lambda(pyramid, conv(padding=1))), IMAGE)
    assert field.size == (math.inf, math.inf)
    assert field.local == (3, 3)


def test_mean_over_one_axis_is_global_there_only():
    field = receptive_field(Lambda(lambda x, a: a(x) + x.mean(3, keepdim=True), conv(padding=1)), IMAGE)
    assert field.size == (3, math.inf)


def test_statistics_over_positions_are_global():
    for norm in (nn.GroupNorm(1, 3), nn.InstanceNorm2d(3), nn.LayerNorm([3, 32, 40])):
        field = receptive_field(nn.Sequential(conv(padding=1), norm), IMAGE)
        assert field.size == (math.inf, math.inf)
        assert field.local == (3, 3)
    assert receptive_field(nn.Sequential(conv(), nn.BatchNorm2d(3)), IMAGE).size == (3, 3)


def test_attention_over_positions_is_global():
    def attend(x, layer):
        tokens = layer(x).flatten(2).transpose(1, 2)  # b (h w) c
        mixed = functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return x + mixed.transpose(1, 2).reshape(x.shape)

    field = receptive_field(Lambda(attend, conv(padding=1)), IMAGE)
    assert field.size == (math.inf, math.inf)
    assert field.local == (3, 3)


def test_attention_over_channels_is_not():
    def attend(x, layer):
        tokens = layer(x).flatten(2)  # b c (h w)
        weights = torch.softmax(tokens.mean(-1, keepdim=True), dim=1)
        return (tokens * weights).reshape(x.shape)

    graph = trace(Lambda(attend, conv(padding=1)), IMAGE)
    reasons = {axis.reason for node in graph for axis in node.axes if isinstance(axis, Global)}
    assert reasons == {"mean over the axis"}


def test_channels_last_blocks_keep_their_place():
    def block(x, depthwise, norm, linear):
        y = linear(norm(depthwise(x).permute(0, 2, 3, 1)))
        return x + y.permute(0, 3, 1, 2)

    network = Lambda(block, conv(kernel_size=7, padding=3, groups=3), nn.LayerNorm(3), nn.Linear(3, 3))
    field = receptive_field(network, IMAGE)
    assert field.size == (7, 7)


@pytest.mark.parametrize(("source", "destination"), [(1, -1), ((1, 0), (-1, 2)), ((3, 2), (0, 1))])
def test_moved_dimensions_keep_their_axes(source, destination):
    def along_rows(x, layer):
        moved = x.movedim(source, destination)
        return layer(moved.movedim(destination, source))

    wide = nn.Conv2d(3, 3, (5, 3), padding=(2, 1))
    assert receptive_field(Lambda(along_rows, wide), IMAGE).size == (5, 3)


def test_channel_shuffle_by_reshape_is_pointwise():
    def shuffle(x):
        b, c, h, w = x.shape
        return x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)

    assert receptive_field(Lambda(shuffle), torch.zeros(1, 4, 8, 8)).size == (1, 1)


def test_windows_cut_by_reshape_are_global():
    def windows(x):
        b, c, h, w = x.shape
        return x.view(b, c, h // 4, 4, w // 4, 4).mean((3, 5))

    assert receptive_field(Lambda(windows), IMAGE).size == (math.inf, math.inf)


def test_upsampling_has_strides_below_one():
    field = receptive_field(nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE)
    assert field.stride == (Fraction(1, 2), Fraction(1, 2))
    assert field.center == (-0.25, -0.25)  # half pixels: src = (dst + 0.5) / 2 - 0.5


def test_unet_meets_its_skip_where_it_left():
    def unet(x, down, up):
        return x + up(down(x))

    for up in (nn.ConvTranspose2d(3, 3, 2, 2), nn.Upsample(scale_factor=2)):
        field = receptive_field(Lambda(unet, nn.MaxPool2d(2), up), IMAGE)
        assert field.misalignment == 0
        assert field.stride == (1, 1)
        assert (field.box((4, 5)), field.box((5, 4))) == (((4, 5), (4, 5)), ((4, 5), (4, 5)))


def test_released_upsampling_layer_keeps_the_half_pixel_grid():
    field = receptive_field(nn.ConvTranspose2d(3, 3, 16, stride=8, padding=4), IMAGE)  # ctx_upsample
    assert field.stride == (Fraction(1, 8), Fraction(1, 8))
    assert field.center == (-7 / 16, -7 / 16)  # (0 + 0.5) / 8 - 0.5


def test_writing_channels_in_place_is_followed():
    def write(x, wide):
        y = torch.zeros_like(x)
        y[:, :1] = x[:, :1]
        y[:, 1:] = wide(x)[:, 1:]
        return y

    assert receptive_field(Lambda(write, conv(padding=2, dilation=2)), IMAGE).size == (5, 5)


def test_operators_in_place_count():
    def accumulate(x, wide):
        y = wide(x).clone()
        x = x.clone()
        x.add_(y)
        return x

    assert receptive_field(Lambda(accumulate, conv(padding=2, dilation=2)), IMAGE).size == (5, 5)


def test_parameters_and_multiply_adds_are_pytorchs():
    network = nn.Sequential(
        conv(6, groups=3), nn.BatchNorm2d(6), nn.ConvTranspose2d(6, 4, 3, 2), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(4, 5),
    ).eval()  # fmt: skip
    example = torch.zeros(2, 6, 16, 16)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(example)
    graph = trace(network, example)
    assert sum(node.num_parameters for node in graph) == sum(p.numel() for p in network.parameters())
    assert 2 * 2 * sum(node.multiply_adds for node in graph) == counter.get_total_flops()  # of two inputs


def test_weights_that_are_read_twice_count_once():
    shared = nn.Conv2d(1, 1, 3, padding=1)
    graph = trace(nn.Sequential(shared, nn.ReLU(), shared), torch.zeros(1, 1, 9, 9))
    assert [node.num_parameters for node in graph] == [0, 10, 0, 0]


def test_tracing_leaves_the_network_as_it_was():
    network = nn.Sequential(conv(), nn.Dropout(), nn.BatchNorm2d(3).eval(), nn.BatchNorm2d(3))
    modes = [module.training for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trace(network, torch.randn(2, 3, 9, 9))
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_layers_are_found_by_module_path():
    network = nn.Sequential(nn.Sequential(conv(), nn.ReLU()), conv())
    assert receptive_field(network, IMAGE, layer="0").size == (3, 3)
    assert receptive_field(network, IMAGE, layer="1").size == (5, 5)
    with pytest.raises(GeometryError, match=r'no layer "2"; it has .*0\.0'):
        receptive_field(network, IMAGE, layer="2")


def test_planned_layers_take_the_place_of_a_network():
    field = receptive_field([Layer(kernel_size=(3, 5), stride=2, dilation=(2, 1), padding=0), 2])
    assert field.size == (5 + 2 * 2 * 2, 5 + 2 * 2 * 2)
    assert field.layers[1].node.axes == (Window(3, 2, 2), Window(5, 2, 1))
