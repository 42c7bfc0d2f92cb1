"""Receptive fields that the papers state, from layer tables: FACTS of Yu & Koltun 2016 and of classifiers."""

import pytest

from atrous.geometry.graph import Layer
from atrous.geometry.receptive_field import receptive_field

STEPS = (2, 2, 3, 3, 3)  # convolutions of VGG-16 before each pool
POOL = Layer(kernel_size=2, stride=2, padding=0)


def convolutions(number: int, dilation: int = 1) -> list[Layer]:
    return [Layer(3, dilation=dilation, padding=0)] * number


def front_end() -> list[Layer]:
    """VGG-16 without pool4 and pool5, what follows dilated, fc6 as a convolution; table of the front end."""
    first = [layer for number in STEPS[:3] for layer in (*convolutions(number), POOL)]
    fc6 = Layer(7, dilation=4, padding=0)
    return [*first, *convolutions(3), *convolutions(3, dilation=2), fc6]


def context(*dilations: int) -> list[Layer]:
    return [*(Layer(3, dilation=dilation) for dilation in dilations), Layer(1)]


def resnet50(*, faulty: bool = False, output_stride: int = 32) -> list[Layer]:
    """The 3x3 path, stride in the 3x3 convolution; `faulty` dilates the first layer of a stage as well."""
    layers, stride, dilation = [Layer(7, 2, padding=3), Layer(3, 2, padding=1)], 4, 1
    for blocks, step in ((3, 1), (4, 2), (6, 2), (3, 2)):
        removed = stride * step > output_stride
        first = dilation * step if removed and faulty else dilation
        layers.append(Layer(3, 1 if removed else step, dilation=first, padding=first))
        stride, dilation = (stride, dilation * step) if removed else (stride * step, dilation)
        layers += [Layer(3, dilation=dilation, padding=dilation)] * (blocks - 1)
    return layers


def test_vgg16_sees_212_px_at_pool5():
    layers = [layer for number in STEPS for layer in (*convolutions(number), POOL)]
    field = receptive_field(layers)
    assert (field.size, field.stride) == ((212,), (32,))


def test_front_end_sees_what_the_table_says_after_each_layer():
    field = receptive_field(front_end())
    sizes = [layer.size[0] for layer in field.layers[1:]]
    assert sizes == [3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 124, 156, 188, 380]
    assert (field.stride, field.center) == ((8,), (189.5,))  # 186 px of margin and 3.5


@pytest.mark.parametrize(
    ("dilations", "cells", "pixels"),
    [
        ((1, 1, 2, 4, 8, 1), 35, 652),  # Dilation7
        ((1, 1, 2, 4, 8, 16, 1), 67, 908),  # Dilation8
        ((1, 1, 2, 4, 8, 16, 32, 64, 1), 259, 2444),  # Dilation10
    ],
)
def test_released_networks_see(dilations, cells, pixels):
    assert receptive_field(context(*dilations)).size == (cells,)
    field = receptive_field([*front_end(), *context(*dilations)])
    assert (field.size, field.stride) == ((pixels,), (8,))


def test_exponential_layers_see_2_to_the_l_plus_1_minus_1():
    fields = [receptive_field([2**i for i in range(depth)]).size[0] for depth in range(1, 7)]
    assert fields == [3, 7, 15, 31, 63, 127]


def test_seven_standard_layers_see_15_and_seven_exponential_255():
    assert receptive_field([1] * 7).size == (15,)
    assert receptive_field([2**i for i in range(7)]).size == (255,)


def test_63_px_take_31_standard_layers_or_5_exponential():
    assert receptive_field([1] * 31).size == receptive_field([1, 2, 4, 8, 16]).size == (63,)
    assert receptive_field([1] * 30).size < (63,)


def test_rates_without_the_second_1_see_65_not_67():
    assert receptive_field([1, 2, 4, 8, 16, 1]).size == (65,)


def test_wavenet_sees_3070_samples():
    stack = [Layer(2, dilation=2**i) for _ in range(3) for i in range(10)]
    assert receptive_field(stack).size == (3070,)


@pytest.mark.parametrize("output_stride", [32, 16, 8])
def test_resnet50_sees_427_px_at_every_output_stride(output_stride):
    field = receptive_field(resnet50(output_stride=output_stride))
    assert (field.size, field.stride, field.center) == ((427,), (output_stride,), (0.0,))


def test_dilating_the_first_layer_of_a_stage_too_changes_resnet50_to_475_px():
    assert receptive_field(resnet50(faulty=True, output_stride=8)).size == (475,)
