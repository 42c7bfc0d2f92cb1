import copy

import pytest
import torch
from torch import nn

from atrous.training.average import adopt_, averaged, build_average


@pytest.fixture
def module():
    torch.manual_seed(0)
    return nn.Conv2d(2, 3, 3)


def test_average_follows_the_weights_by_its_decay(module):
    average = build_average(module, decay=0.75)
    expected = None
    for _ in range(5):
        with torch.no_grad():
            module.weight.add_(torch.randn_like(module.weight))
        average.update_parameters(module)
        now = module.weight.detach().double()
        expected = now if expected is None else 0.75 * expected + 0.25 * now
    torch.testing.assert_close(average.module.state_dict()["weight"].double(), expected, atol=1e-6, rtol=1e-6)


def test_averaged_lends_the_average_and_gives_the_weights_back(module):
    average = build_average(module, decay=0.5)
    own = copy.deepcopy(module.state_dict())
    with torch.no_grad():
        average.module.get_parameter("weight").fill_(7.0)
    with averaged(module, average):
        assert torch.all(module.weight == 7.0)
    assert all(torch.equal(value, own[name]) for name, value in module.state_dict().items())
    with averaged(module, None):
        assert torch.equal(module.weight, own["weight"])


def test_averaged_gives_the_weights_back_after_an_error(module):
    average = build_average(module, decay=0.5)
    own = module.weight.detach().clone()
    with torch.no_grad():
        average.module.get_parameter("weight").fill_(7.0)

    def interrupted():
        with averaged(module, average):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert torch.equal(module.weight, own)


def test_adopt_makes_the_average_the_weights(module):
    average = build_average(module, decay=0.5)
    with torch.no_grad():
        average.module.get_parameter("weight").fill_(7.0)
    adopt_(module, average)
    assert torch.all(module.weight == 7.0)
