"""Training convolutions by the faster backward pass: same values, right gradients, nothing else changed."""

import time
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import atrous
from atrous.geometry.axis import Window
from atrous.ops.faster_backward import TRIALS, Contest, FasterBackward
from ops.convolution_steps import autocast, error, step

CHANNELS = 256  # the least


def layer(**options):
    torch.manual_seed(0)
    settings: dict[str, Any] = {"padding": 2, "dilation": 2} | options
    return nn.Conv2d(CHANNELS, CHANNELS, 3, **settings)


def images(*, channels=CHANNELS):
    x = torch.randn(2, channels, 9, 8, generator=torch.Generator().manual_seed(1))
    return x.contiguous(memory_format=torch.channels_last)


def tried(faster):
    """Which gradients were tried, and how often each way."""
    return {key[0]: tuple(len(times) for times in seconds) for key, seconds in faster.contest.seconds.items()}


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bias", [True, False])
def test_a_step_has_the_value_and_the_gradients_of_the_plain_convolution(memory_format, bias):
    network, x = layer(bias=bias), images()
    network.weight.data = network.weight.data.contiguous(memory_format=memory_format)
    expected, plain = step(network, x)
    network.zero_grad()
    leaf = x.clone().requires_grad_()
    network(leaf).square().sum().backward()  # in float32
    truth = [leaf.grad, *[parameter.grad for parameter in network.parameters()]]
    faster = FasterBackward()
    for _ in range(2 * TRIALS + 1):
        with faster:
            y, gradients = step(network, x)
        assert torch.equal(y, expected)
        for ours, theirs, exact in zip(gradients, plain, truth, strict=True):
            assert ours is not None
            assert theirs is not None
            assert ours.dtype == theirs.dtype
            assert ours.stride() == theirs.stride()
            assert error(ours, exact) < 1e-2
            assert error(ours, exact) < 1.5 * error(theirs, exact) + 1e-3
    assert tried(faster) == {"x": (TRIALS, TRIALS), "weight": (TRIALS, TRIALS)}


def test_weights_in_bfloat16_need_no_autocast():
    network, x = layer().bfloat16(), images().bfloat16()
    with FasterBackward() as faster:
        network(x).float().square().sum().backward()
    assert tried(faster) == {"weight": (1, 0)}  # the input needs none
    assert network.weight.grad is not None
    assert network.weight.grad.dtype == torch.bfloat16


def test_only_gradients_that_are_needed_are_made():
    network = layer()
    network.weight.requires_grad_(False)
    with FasterBackward() as faster:
        _, (of_x, of_weight, of_bias) = step(network, images())
    assert of_x is not None
    assert of_weight is None
    assert of_bias is not None
    assert tried(faster) == {"x": (1, 0)}


def test_accumulated_gradients_add_up():
    network, x = layer(), images()
    _, (_, once, _) = step(network, x)
    network.zero_grad()
    with FasterBackward():
        for half in x.chunk(2):
            with autocast():
                y = network(half)
            y.float().square().sum().backward()
    assert error(network.weight.grad, once) < 1e-2


@pytest.mark.parametrize(
    ("network", "channels"),
    [
        (layer(stride=2), CHANNELS),
        (layer(groups=2, dilation=1, padding=1), CHANNELS),
        (layer(padding="same"), CHANNELS),
        (nn.Conv2d(CHANNELS, CHANNELS // 2, 3), CHANNELS),
        (nn.Conv2d(CHANNELS // 2, CHANNELS, 3), CHANNELS // 2),
    ],
    ids=["strided", "grouped", "padding by name", "few outputs", "few inputs"],
)
def test_other_convolutions_are_plain(network, channels):
    x = images(channels=channels)
    expected, plain = step(network, x)
    with FasterBackward() as faster:
        y, gradients = step(network, x)
    assert tried(faster) == {}
    assert torch.equal(y, expected)
    assert all(map(torch.equal, gradients, plain))


def test_float32_is_plain():
    network, x = layer(), images()
    expected = torch.autograd.grad(network(x).square().sum(), network.weight)
    with FasterBackward() as faster:
        gradients = torch.autograd.grad(network(x).square().sum(), network.weight)
    assert tried(faster) == {}
    assert torch.equal(*expected, *gradients)


def test_deterministic_algorithms_are_plain():
    torch.use_deterministic_algorithms(True)
    try:
        with FasterBackward() as faster:
            step(layer(), images())
    finally:
        torch.use_deterministic_algorithms(False)
    assert tried(faster) == {}


def test_prediction_is_plain():
    network = layer().eval()
    with FasterBackward(), torch.no_grad(), autocast():
        y = network(images())
    assert y.grad_fn is None


def test_a_network_stays_what_it_is():
    """Class, names of weights, spatial graph, exported program, and prediction after training."""
    network = nn.Sequential(layer(), nn.ReLU(), layer(dilation=4, padding=4))
    keys = list(network.state_dict())
    with FasterBackward():
        step(network, images())
    assert list(network.state_dict()) == keys
    assert type(network[0]) is nn.Conv2d
    convolutions = [node for node in atrous.trace(network, images()).nodes if node.operator == "conv2d"]
    assert [node.axes[0] for node in convolutions] == [
        Window(3, dilation=dilation, padding=(dilation, dilation)) for dilation in (2, 4)
    ]
    program = torch.export.export(network, (images(),)).module()
    with torch.no_grad():
        torch.testing.assert_close(program(images()), network(images()))


def test_second_derivatives_are_refused():
    network = layer()
    with FasterBackward(), autocast():
        y = network(images())
    (once,) = torch.autograd.grad(y.float().square().sum(), network.weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        once.sum().backward()


def test_a_data_parallel_network_is_trained(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        network = layer()
        _, (_, expected, _) = step(network, images())
        with FasterBackward() as faster:
            _, (_, of_weight, _) = step(nn.parallel.DistributedDataParallel(network), images())
    finally:
        torch.distributed.destroy_process_group()
    assert tried(faster) == {"x": (1, 0), "weight": (1, 0)}
    assert error(of_weight, expected) < 1e-2


@pytest.mark.parametrize(("first", "second", "winner"), [(0.0, 0.02, "first"), (0.02, 0.0, "second")])
def test_a_contest_keeps_the_faster_way(first, second, winner):
    calls = []

    def way(name, seconds):
        def run():
            calls.append(name)
            time.sleep(seconds)
            return torch.zeros(())

        return run

    contest = Contest()
    for _ in range(7):
        contest.run(("key",), way("first", first), way("second", second))
    assert calls == ["first", "second"] * TRIALS + [winner] * 3
    contest.run(("another key",), way("first", first), way("second", second))
    assert calls[-1] == "first"


def test_the_layers_of_the_front_end_are_tried():
    """Of conv3 to fc7, both gradients; the narrow layers before and the last stay plain."""
    network = atrous.build_network("frontend_light", num_classes=3)
    x = torch.rand(1, 3, 32, 32)
    with FasterBackward() as faster:
        with autocast():
            y = functional.relu(network(x))
        y.float().sum().backward()
    assert {tuple(key[2])[:2] for key in faster.contest.seconds} == {
        (256, 256), (512, 256), (512, 512), (1024, 512), (1024, 1024)
    }  # fmt: skip
