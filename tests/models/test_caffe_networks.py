"""Which network a file holds, and what is said of files that hold something else."""

import pytest
import torch

from atrous.errors import CheckpointError, ConfigError
from atrous.models.caffe_networks import import_network, recognize
from models.caffe_engine import NETWORKS, released_prototxt

FRONT_END = ("conv1_1", "conv5_3", "fc6", "fc7")


@pytest.mark.parametrize("name", NETWORKS)
def test_published_network_is_recognized_by_its_layers(name):
    assert recognize(released_prototxt(name, 436, 436).shapes, source="a.caffemodel") == name


@pytest.mark.parametrize(
    ("layers", "name"),
    [
        ((*FRONT_END, "final"), "frontend"),
        ((*FRONT_END, "fc-final"), "frontend"),
        ((*FRONT_END, "fc8"), "vgg16"),
        (FRONT_END, "vgg16"),
        (("conv1_1", "conv5_3"), "vgg16"),
    ],
)
def test_front_end_and_vgg16_are_recognized(layers, name):
    assert recognize(layers, source="a.caffemodel") == name


@pytest.mark.parametrize("layers", [("conv1", "res2a_branch1"), (*FRONT_END, "final", "ctx_conv1_1")])
def test_layers_of_no_known_network_are_listed(layers):
    with pytest.raises(
        CheckpointError, match=rf"a.caffemodel has layers of no known network \({len(layers)}: "
    ):
        recognize(layers, source="a.caffemodel")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((21,), r"layer final has weights \(21,\); dilation8_camvid wants \(classes, 4096, 1, 1\)"),
        ((256, 4096, 1, 1), "with 1 to 255 classes"),
        ((0, 4096, 1, 1), "with 1 to 255 classes"),
    ],
)
def test_number_of_classes_must_be_told_by_the_last_layer(shape, message):
    with pytest.raises(CheckpointError, match=message):
        import_network({"final": (torch.zeros(shape),)}, name="dilation8_camvid")


def test_missing_last_layer_and_unknown_networks_are_refused():
    with pytest.raises(CheckpointError, match="no layer final or fc-final, whose channels are"):
        import_network({"conv1_1": (torch.zeros(64, 3, 3, 3),)}, name="dilation8_voc")
    with pytest.raises(ConfigError, match='no published network "dilation9"; did you mean "dilation8_'):
        import_network({}, name="dilation9")


def test_report_has_a_line_for_every_blob_and_every_parameter_that_lacks_one():
    layers = {
        "conv1_1": (torch.zeros(64, 3, 3, 3), torch.zeros(1, 1, 1, 64)),
        "conv1_2": (torch.zeros(64, 64, 5, 5), torch.zeros(64), torch.zeros(7)),
        "final": (torch.zeros(4, 4096, 1, 1), torch.zeros(4)),
        "fc8": (torch.zeros(1000, 4096),),
    }
    imported = import_network(layers, name="dilation8_camvid")
    found = {line.source: line.status for line in imported.fitted.lines}
    assert found["conv1_1[0]"] == found["conv1_1[1]"] == found["conv1_2[1]"] == found["final[0]"] == "used"
    assert found["conv1_2[0]"] == "wrong shape"
    assert found["conv1_2[2]"] == found["fc8[0]"] == "unused"
    assert found["conv2_1[0]"] == found["ctx_final[1]"] == "missing"
    assert len(found) == len(imported.network.state_dict()) + 2  # the two unused
    assert not imported.fitted.complete
    assert imported.label_set.names == ("class 0", "class 1", "class 2", "class 3")
