"""Every network of the catalog as a file, at sizes that it was not exported at."""

import copy
from dataclasses import replace

import pytest
import torch

from atrous.export.card import card_of
from atrous.export.deployed import Deployed, Ends
from atrous.export.onnx import OnnxSession, write_onnx
from atrous.export.openvino import OpenVINOFile, openvino_model, write_openvino
from atrous.models.catalog import CATALOG, build_network
from atrous.models.contract import Normalization
from models.conftest import VARIANTS, narrow_, on_meta

MOST_PARAMETERS = 3_000_000  # of a network with all its channels; of others copies with few are exported
SIZES = {1: ((3000,), (4001,)), 2: ((65, 98), (101, 60)), 3: ((17, 20, 24), (20, 16, 9))}
EXAMPLES = {1: (4000,), 2: (70, 90), 3: (20, 24, 17)}
TOLERANCE = 1e-4  # of the largest value; fresh weights make large ones

REPEATED = {
    *("dilation8", "dilation8_large", "dilation8_light", "dilation8_voc"),
    *("naive_large_filters", "naive_late_upsampling", "naive_no_pooling", "naive_skips"),
    *("deeplab_v1", "drn_d_22", "fcn_resnet50"),
}
"""Of parts that `dilation10_cityscapes`, `compact_context`, `deeplab_v2`, `drn_c_26` or a DeepLab v3 has."""

marked = [
    pytest.param(
        name, marks=[pytest.mark.slow, *([pytest.mark.exhaustive] * (name in REPEATED | {*VARIANTS}))]
    )
    for name in CATALOG
]


@pytest.fixture
def deployed(request):
    """The network with all that can stand before and after it inside."""
    name = request.param
    torch.manual_seed(0)
    is_small = on_meta(name).num_parameters() < MOST_PARAMETERS
    network = build_network(name) if is_small else narrow_(copy.deepcopy(on_meta(name)))
    network = network.float().eval()
    is_raw = isinstance(network.normalization, Normalization)
    ends = Ends(is_raw, "values" if is_raw else "logits")  # interpolated logits; some have one class
    card = card_of(network, ends, name=name, arguments={}, labels={})
    return Deployed(network.requires_grad_(requires_grad=False), ends), replace(card, labels={"names": []})


def images_for(deployed, sides, *, number=1):
    network = deployed.network
    shape = (number, network.num_channels, *sides)
    if deployed.ends.raw:
        return torch.randint(0, 256, shape, dtype=torch.uint8)
    return torch.randn(number, network.num_channels, *(side + 2 * network.margin for side in sides))


def assert_same(file, deployed):
    assert file.card.network in CATALOG
    for number, sides in enumerate(SIZES[deployed.network.num_axes], start=1):
        images = images_for(deployed, sides, number=number)
        with torch.inference_mode():
            truth = deployed(images)
        given = file(images)
        assert given.shape == truth.shape
        torch.testing.assert_close(given, truth, rtol=0, atol=TOLERANCE * truth.abs().max().item())


@pytest.mark.parametrize("deployed", marked, indirect=True)
def test_files_say_what_the_network_says_at_any_size(deployed, tmp_path):
    network, card = deployed
    example = images_for(network, EXAMPLES[network.network.num_axes], number=2)
    write_onnx(network, example, card, tmp_path / "network.onnx")
    assert_same(OnnxSession(tmp_path / "network.onnx"), network)
    write_openvino(openvino_model(network, example, card), tmp_path / "network.xml", in_float16=False)
    assert_same(OpenVINOFile(tmp_path / "network.xml"), network)
