"""VGG-16's convolutions: names, channels and dilations, and the resolution that they keep."""

import pytest
import torch
from torch import nn

from atrous.layers.blocks import CeilMaxPool
from atrous.models.vgg import TORCHVISION_FEATURES, dense_vgg_layers

NAMES = [
    *("conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1"),
    *("conv2_1", "relu2_1", "conv2_2", "relu2_2", "pool2"),
    *("conv3_1", "relu3_1", "conv3_2", "relu3_2", "conv3_3", "relu3_3", "pool3"),
    *("conv4_1", "relu4_1", "conv4_2", "relu4_2", "conv4_3", "relu4_3"),
    *("conv5_1", "relu5_1", "conv5_2", "relu5_2", "conv5_3", "relu5_3"),
]
CHANNELS = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}
TORCHVISION_VGG16 = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]


@pytest.fixture(params=[True, False], ids=["padded", "unpadded"])
def padded(request):
    return request.param


def test_layers_have_the_names_of_the_caffe_network(padded):
    assert list(dense_vgg_layers(padded=padded)) == NAMES


def test_layers_have_the_sizes_of_vgg16(padded):
    in_channels = 3
    for name, layer in dense_vgg_layers(padded=padded).items():
        kind, stage = name[:4], name[4]
        if kind == "conv":
            assert isinstance(layer, nn.Conv2d)
            dilation = 2 if stage == "5" else 1
            assert (layer.in_channels, layer.out_channels) == (in_channels, CHANNELS[stage])
            assert layer.kernel_size == (3, 3)
            assert layer.dilation == (dilation, dilation)
            assert layer.padding == ((dilation, dilation) if padded else (0, 0))
            in_channels = layer.out_channels
        else:
            assert isinstance(layer, nn.ReLU if kind == "relu" else CeilMaxPool)


def test_padded_layers_keep_an_eighth_of_the_resolution():
    with torch.device("meta"):
        layers = nn.Sequential(dense_vgg_layers(padded=True))
        assert layers(torch.empty(1, 3, 65, 80)).shape == (1, 512, 9, 10)


def test_torchvision_indices_count_its_layers():
    """torchvision builds vgg16 from this list: a convolution and a ReLU for a number, a pool for M."""
    index, found = 0, []
    for entry in TORCHVISION_VGG16:
        if entry == "M":
            index += 1
        else:
            found.append(index)
            index += 2
    assert list(TORCHVISION_FEATURES.values()) == found
    assert list(TORCHVISION_FEATURES) == [name for name in NAMES if name.startswith("conv")]
