"""Networks prepared for a precision, and torch as an engine."""

import pytest
import torch
from torch import nn

from atrous.geometry.receptive_field import receptive_field
from atrous.geometry.trace import trace
from atrous.inference.engines import build_engine
from atrous.inference.prepared import prepared
from atrous.inference.stream import Stream
from atrous.models.catalog import build_network
from atrous.models.dilated_classifier import DilatedClassifier
from atrous.surgery.dilate import dilate
from surgery.networks import Residual, seeded

CPU = torch.device("cpu")


def compact(name: str = "compact_context"):
    torch.manual_seed(0)
    return build_network(name, num_classes=4, noise=0.1 if name == "compact_context" else 0)


def dilated() -> DilatedClassifier:
    """A network with batch norms, one of which follows no convolution alone."""
    dense = dilate(seeded(Residual()), torch.zeros(1, 3, 64, 64, dtype=torch.float64), output_stride=4)
    return DilatedClassifier(dense.float(), (64, 64))


@pytest.mark.parametrize("network", [compact(), dilated()], ids=["compact", "with batch norms"])
def test_float32_is_the_network_itself_bit_for_bit(network):
    images = torch.randn(2, 3, 65, 83)
    engine = build_engine(network, precision="float32", device=CPU, sizes_repeat=True)
    network.eval()
    with torch.inference_mode():
        expected = network(images.contiguous(memory_format=torch.channels_last))
    network.train()
    assert torch.equal(engine(images), expected)
    assert all(module.training for module in network.modules())
    assert engine.description == "torch on cpu, float32, channels_last"


def test_float32_follows_a_network_that_trains_on():
    network = compact()
    engine = build_engine(network, precision="float32", device=CPU)
    images = torch.randn(1, 3, 32, 32)
    before = engine(images)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1)
    assert not torch.equal(engine(images), before)


@pytest.mark.parametrize(("network", "folded"), [(compact(), 0), (dilated(), 1)], ids=["compact", "residual"])
def test_bfloat16_is_a_copy_close_to_float32(network, folded):
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    engine = build_engine(network, engine="torch", precision="bfloat16", device=CPU)
    images = torch.randn(2, 3, 65, 83) * 60
    logits = engine(images)
    assert logits.dtype == torch.float32
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(module.training for module in network.modules())
    exact = network.eval()(images)
    assert 0 < (logits - exact).norm() / exact.norm() < 0.03
    assert ("batch norm" in engine.description) == bool(folded)


def test_bfloat16_says_what_autocast_says_to_its_own_precision():
    network = compact().eval()
    images = torch.randn(1, 3, 64, 80) * 60
    once = prepared(network, dtype=torch.bfloat16, device=CPU)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        each_time = network(images.contiguous(memory_format=torch.channels_last)).float()
    with torch.inference_mode():
        torch.testing.assert_close(
            once(images), each_time, rtol=2**-6, atol=2**-6 * float(each_time.abs().max())
        )


def test_what_is_prepared_can_be_traced_and_streamed():
    network = compact("compact").eval()
    module = prepared(network, dtype=torch.bfloat16, device=CPU)
    images = torch.randn(1, 3, 96, 40)
    assert receptive_field(trace(module, images)).axes == receptive_field(trace(network, images)).axes
    stream = Stream(module, images)
    with torch.inference_mode():
        rows = [*(stream.push(chunk) for chunk in images.split(20, dim=2)), stream.flush()]
        torch.testing.assert_close(torch.cat(rows, 2), module(images), rtol=1e-2, atol=1e-2)


@pytest.mark.slow
def test_a_network_that_cannot_be_traced_is_prepared_without_folding():
    class Undecided(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.inner(images) if images.sum() != 0 else self.inner(images) * 2

    network = dilated().eval()
    network.network = Undecided(network.network)
    module = prepared(network, dtype=torch.bfloat16, device=CPU)
    images = torch.randn(1, 3, 64, 64)
    assert module.num_folded == 0
    assert (module(images) - network(images)).norm() < 0.03 * network(images).norm()
