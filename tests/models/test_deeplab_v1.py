"""DeepLab LargeFOV: what each layer sees, its parameters, and the numbers of the paper's table 2."""

import pytest
import torch

from atrous.geometry.axis import effective_kernel_size
from atrous.geometry.receptive_field import receptive_field
from atrous.models.catalog import build_network
from atrous.models.frontend import frontend_light

FIELDS = {
    "conv1_1": 3, "conv1_2": 5, "pool1": 7, "conv2_1": 11, "conv2_2": 15, "pool2": 19,
    "conv3_1": 27, "conv3_2": 35, "conv3_3": 43, "pool3": 51, "conv4_1": 67, "conv4_2": 83, "conv4_3": 99,
    "pool4": 115, "conv5_1": 147, "conv5_2": 179, "conv5_3": 211, "pool5": 227, "fc6": 419, "fc8": 419,
}  # fmt: skip


def test_each_layer_sees_what_the_table_says():
    with torch.device("meta"):
        network = build_network("deeplab_v1").eval()
        field = receptive_field(network, torch.zeros(1, 3, 64, 64))
    for name, expected in FIELDS.items():
        path = f"classifier.{name}" if name.startswith("fc") else f"backbone.layers.{name}"
        seen = [layer for layer in field.layers if layer.node.label == path]
        assert seen[-1].size == (expected, expected), name
        assert seen[-1].center == (0, 0), name


def test_321_pixels_give_41_cells():  # the released input
    with torch.device("meta"):
        assert build_network("deeplab_v1").eval()(torch.empty(1, 3, 321, 321)).shape == (1, 21, 41, 41)


def test_parameters_are_those_of_table_2_and_of_the_light_front_end():
    with torch.device("meta"):
        network, light = build_network("deeplab_v1"), frontend_light()
    assert network.num_parameters() == light.num_parameters() == 20_505_429  # "20.5M"


@pytest.mark.parametrize(
    ("kernel_size", "dilation", "published"), [(7, 4, 224), (4, 4, 128), (4, 8, 224), (3, 12, 224)]
)
def test_published_receptive_fields_are_those_of_fc6_on_cells_of_32_pixels(kernel_size, dilation, published):
    cells = effective_kernel_size(kernel_size, dilation)  # table 2
    assert 8 * (cells - 1) + 32 == published
    assert published < FIELDS["fc6"] - 8 * 25 + 8 * cells
