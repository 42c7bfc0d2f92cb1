import json

import pytest
import torch

from atrous.errors import ConfigError
from atrous.jobs.models import ModelsConfig, run
from atrous.jobs.progress import drain
from atrous.models.catalog import CATALOG, build_network


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
    assert drain(run(ModelsConfig(num_classes=3))).to_dict()[name]["multiply_adds"] == sum(counted)


def test_models_refuses_no_classes():
    with pytest.raises(ConfigError, match="at least 1"):
        drain(run(ModelsConfig(num_classes=0)))
