"""The four networks that Yu & Koltun published: tables of their prototxt files, means, classes, sizes."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from atrous.data.open import open_dataset
from atrous.geometry.receptive_field import receptive_field
from atrous.models.catalog import build_network
from atrous.models.contract import Normalization
from atrous.models.dilated_net import DilatedNet
from atrous.models.pretrained import initialize_
from atrous.models.released import RELEASED_LABELS, caffe_layers
from atrous.ops.pad import pad_reflect

# network: input, score cells, classes, dilations, receptive field of a cell in px
RELEASED = {
    "dilation7_kitti": ((852, 1640), (60, 159), 11, (1, 1, 2, 4, 8, 1), 652),
    "dilation8_camvid": ((900, 1100), (66, 91), 11, (1, 1, 2, 4, 8, 16, 1), 908),
    "dilation8_voc": ((900, 900), (66, 66), 21, (1, 1, 2, 4, 8, 16, 1), 908),
    "dilation10_cityscapes": ((1396, 1396), (128, 128), 19, (1, 1, 2, 4, 8, 16, 32, 64, 1), 2444),
}
MEANS = {  # blue, green, red
    "dilation7_kitti": (96.19429688, 95.55136972, 91.34692262),
    "dilation8_camvid": (110.70313206, 108.77808759, 105.41212523),
    "dilation8_voc": (102.93, 111.36, 116.52),
    "dilation10_cityscapes": (72.39, 82.91, 73.16),
}
CAMVID_PALETTE = (
    (128, 0, 0), (128, 128, 0), (128, 128, 128), (64, 0, 128), (192, 128, 128), (128, 64, 128), (64, 64, 0),
    (64, 64, 128), (192, 192, 128), (0, 0, 192), (0, 128, 192),
)  # fmt: skip
FRONT_END_PARAMETERS = {21: 134_346_581, 19: 134_338_387, 11: 134_305_611}

every_network = pytest.mark.parametrize("name", RELEASED)


def released(name: str, num_classes: int | None = None) -> DilatedNet:
    """The network without values."""
    with torch.device("meta"):
        network = build_network(name, num_classes=num_classes)
    assert isinstance(network, DilatedNet)
    return network


def convolutions(network: DilatedNet) -> list[nn.Conv2d]:
    return [layer for layer in network.context.layers if isinstance(layer, nn.Conv2d)]


@every_network
def test_context_module_has_the_layers_of_the_prototxt(name):
    _, _, num_classes, dilations, _ = RELEASED[name]
    *dilated, last = convolutions(released(name))
    assert [layer.dilation for layer in dilated] == [(dilation, dilation) for dilation in dilations]
    assert all(layer.kernel_size == (3, 3) for layer in dilated)
    assert (last.kernel_size, last.out_channels, last.padding) == ((1, 1), num_classes, (0, 0))
    if name == "dilation8_voc":
        assert [layer.out_channels for layer in dilated] == [42, 42, 84, 168, 336, 672, 672]
        assert [layer.padding for layer in dilated] == [(33, 33), *[(0, 0)] * 6]
    else:
        assert {layer.out_channels for layer in dilated} == {num_classes}
        assert [layer.padding for layer in dilated] == [(dilation, dilation) for dilation in dilations]


@every_network
def test_published_input_gives_the_published_score_cells(name):
    input_size, cells, num_classes, _, _ = RELEASED[name]
    network = released(name)
    assert network.tile_size == input_size
    assert network.num_classes == num_classes
    images = torch.empty(1, 3, *input_size, device="meta")
    assert network.context(network.front_end(images)).shape == (1, num_classes, *cells)
    upsampled = network(images).shape[2:]
    assert tuple(upsampled) == ((1024, 1024) if name == "dilation10_cityscapes" else cells)


@every_network
def test_parameters_are_those_of_front_end_and_context_module(name):
    _, _, num_classes, dilations, _ = RELEASED[name]
    network = released(name)
    assert network.front_end.num_parameters() == FRONT_END_PARAMETERS[num_classes]
    context = sum(parameter.numel() for parameter in network.context.parameters())
    if name == "dilation8_voc":
        assert context == 15_422 * 21**2 + 97 * 21 == 6_803_139
    else:
        depth = len(dilations)
        assert context == (9 * depth + 1) * num_classes**2 + (depth + 1) * num_classes


@every_network
def test_cell_sees_as_many_pixels_as_published(name):
    *_, dilations, pixels = RELEASED[name]
    network = released(name)
    assert network.context.receptive_field == 1 + 2 * sum(dilations)
    example = torch.empty(1, 3, 500, 500, device="meta")
    last = f"context.layers.{2 * len(dilations)}"
    assert receptive_field(network, example, layer=last).size == (pixels, pixels)


def test_cityscapes_network_ends_in_a_transposed_convolution_of_one_group_a_class():
    upsampling = released("dilation10_cityscapes").upsampling
    assert upsampling is not None
    assert upsampling.weight.shape == (19, 1, 16, 16)
    assert (upsampling.factor, upsampling.num_classes) == (8, 19)


@every_network
def test_pixels_are_bgr_minus_the_mean_of_the_data_set(name):
    network = released(name)
    for part in (network, network.front_end):
        assert part.normalization == Normalization(MEANS[name], (1.0, 1.0, 1.0), "BGR")


def test_classes_and_colors_are_in_the_order_of_the_scores():
    camvid, kitti = RELEASED_LABELS["dilation8_camvid"], RELEASED_LABELS["dilation7_kitti"]
    assert camvid.names == (
        "Building", "Tree", "Sky", "Car", "Sign", "Road",
        "Pedestrian", "Fence", "Pole", "Sidewalk", "Bicyclist",
    )  # fmt: skip
    assert camvid.palette == kitti.palette == CAMVID_PALETTE
    voc = RELEASED_LABELS["dilation8_voc"]
    assert (voc.names[0], voc.names[15], voc.names[20]) == ("background", "person", "tvmonitor")
    assert (voc.palette[1], voc.palette[15], voc.palette[20]) == ((128, 0, 0), (192, 128, 128), (0, 64, 128))
    cityscapes = RELEASED_LABELS["dilation10_cityscapes"]
    assert (cityscapes.names[0], cityscapes.names[18]) == ("road", "bicycle")
    for name, labels in RELEASED_LABELS.items():
        assert labels.num_classes == released(name).num_classes


@every_network
def test_any_number_of_classes_can_be_built(name):
    network = released(name, 3)
    assert network(torch.empty(1, 3, 400, 400, device="meta")).shape[1] == 3


@pytest.mark.parametrize(
    ("name", "prefix", "final", "expected"),
    [
        ("dilation7_kitti", "ctx", "final", "conv1_1 conv1_2 conv2_1 conv3_1 conv4_1 fc1 final"),
        ("dilation8_camvid", "ctx", "final", "conv1_1 conv1_2 conv2_1 conv3_1 conv4_1 conv5_1 fc1 final"),
        ("dilation8_voc", "ct", "fc-final", "conv1_1 conv1_2 conv2_1 conv3_1 conv4_1 conv5_1 fc1 final"),
        (
            "dilation10_cityscapes",
            "ctx",
            "final",
            "conv1_1 conv1_2 conv2_1 conv3_1 conv4_1 conv5_1 conv6_1 conv7_1 fc1 final upsample",
        ),
    ],
)
def test_layers_have_the_names_of_the_prototxt(name, prefix, final, expected):
    network = released(name)
    layers = caffe_layers(network, prefix=prefix, final=final)
    context = [layer.removeprefix(f"{prefix}_") for layer in layers if layer.startswith(f"{prefix}_")]
    assert " ".join(context) == expected
    front_end = [layer for layer in layers if not layer.startswith(f"{prefix}_")]
    assert front_end[-3:] == ["fc6", "fc7", final]
    modules = dict(network.named_modules())
    with_parameters = {path for path, module in modules.items() if isinstance(module, nn.Conv2d)}
    assert {module for module in layers.values() if module != "upsampling"} == with_parameters


@pytest.mark.parametrize("name", ["frontend_light", pytest.param("dilation8_camvid", marks=pytest.mark.slow)])
def test_loss_starts_at_about_ln_c(name, shared_weights, shared_data):
    """Of a front end with ImageNet's convolutions on a street; fc6, fc7 fresh, the last layer N(0, 0.001)."""
    torch.manual_seed(0)
    network = build_network(name, num_classes=11)
    initialize_(network, shared_weights / "vgg16_imagenet_conv.safetensors")
    front_end = (network.front_end if isinstance(network, DilatedNet) else network).eval()
    sample = open_dataset(shared_data / "camvid", "train")[0]
    crop = torch.from_numpy(sample.image[100:228, 100:228].copy()).permute(2, 0, 1)[None].float()
    margin = [(front_end.margin, front_end.margin)] * 2
    with torch.no_grad():
        logits = front_end(pad_reflect(front_end.normalization.apply(crop), margin))
    labels = torch.from_numpy(sample.labels[100:228:8, 100:228:8].copy()).long()[None]
    loss = functional.cross_entropy(logits, labels, ignore_index=255).item()
    assert logits.std() > 0.01  # not the zeros whose loss is ln C anyway
    assert loss == pytest.approx(math.log(11), rel=0.1)
