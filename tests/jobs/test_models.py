import json

import pytest
import torch

from atrous.errors import ConfigError
from atrous.jobs.models import ModelsConfig, run
from atrous.jobs.progress import drain
from atrous.models.catalog import CATALOG, build_network


@pytest.mark.slow
def test_models_lists_the_whole_catalog():
    result = drain(run(ModelsConfig()))
    listed = json.loads(json.dumps(result.to_dict()))
    assert list(listed) == list(CATALOG)
    assert listed["dilation8"]["parameters"] == 134_346_581 + 28_392
    assert listed["frontend"]["receptive_field"] == 380
    assert all(name in result.to_table() for name in CATALOG)


@pytest.mark.parametrize("name", ["compact_context", "frontend"])
def test_models_counts_the_multiply_adds_of_every_convolution(name):
    with torch.device("meta"):
        network = build_network(name, num_classes=3)
    counted = []

    def count(conv, _, output):
        counted.append(output.numel() * conv.weight[0].numel())

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    side = 512 + 2 * network.margin
    network(torch.empty(1, 3, side, side, device="meta"))
    config = ModelsConfig(networks=(name,), num_classes=3)
    assert drain(run(config)).to_dict()[name]["multiply_adds"] == sum(counted)


@pytest.mark.slow
def test_details_are_those_of_the_spatial_graph():
    """The front end's dilated layers step over cells; the context module's undilated ones close the holes."""
    names = ("frontend_light", "dilation8_light")
    result = drain(run(ModelsConfig(networks=names, details=True)))
    alone, with_context = (entry.details for entry in result.entries)
    assert alone is not None
    assert with_context is not None
    assert (alone.receptive_field, with_context.receptive_field) == (380, 908)
    assert alone.coverage == with_context.coverage == 1
    assert alone.mixing < 0.3
    assert alone.gridded == "layers.conv4_3"
    assert (with_context.mixing, with_context.gridded) == (1, "")
    assert "26.4%  layers.conv4_3" in result.to_table()
    assert json.loads(json.dumps(result.to_dict()))["frontend_light"]["details"]["sees_all"] is False


def test_models_refuses_an_unknown_network():
    with pytest.raises(ConfigError, match=r'no network "dilation9" in the catalog; did you mean "dilation8"'):
        drain(run(ModelsConfig(networks=("dilation9",))))


def test_models_refuses_no_classes():
    with pytest.raises(ConfigError, match="0 classes make no network; give a whole number"):
        drain(run(ModelsConfig(num_classes=0)))


def test_networks_are_counted_on_another_backbone():
    (entry,) = drain(run(ModelsConfig(networks=("unet",), backbone="vgg16", num_classes=11))).entries
    assert (entry.name, entry.parameters, entry.receptive_field) == ("unet on vgg16", 24_893_707, 292)
    with pytest.raises(ConfigError, match="backbone vgg16 is not for every network; name those"):
        drain(run(ModelsConfig(backbone="vgg16")))
