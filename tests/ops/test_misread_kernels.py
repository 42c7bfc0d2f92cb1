"""Kernels whose gradients PyTorch's own backward pass gets wrong on processors, or ends the process over."""

import pytest
import torch
from torch import nn

from atrous.ops.faster_backward import TRIALS, FasterBackward
from ops.convolution_steps import autocast, error, step


@pytest.mark.parametrize(
    ("channels", "outputs", "options"),
    [
        (21, 21, {"dilation": 2, "padding": 2}),  # Basic, of VOC's classes
        (22, 44, {"dilation": 8, "padding": 8}),  # Large, of CamVid's: PyTorch's own may end the process
        (88, 176, {"dilation": 2, "padding": "same"}),
        (40, 40, {"dilation": 2, "padding": 4, "groups": 40, "kernel_size": 5}),
        (24, 48, {"dilation": (1, 3), "padding": (1, 3), "groups": 2, "bias": False}),
        (33, 20, {"dilation": 3, "stride": 2}),
        (300, 256, {"dilation": 2, "padding": 2}),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_deterministic", [False, True])
def test_dilated_kernels_have_the_gradient_of_float32(channels, outputs, options, is_deterministic):
    """oneDNN's of channels-last maps is not: of these it gives wrong values, no numbers, or a crash."""
    torch.manual_seed(0)
    network = nn.Conv2d(channels, outputs, **{"kernel_size": 3} | options)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(2, channels, 40, 45).contiguous(memory_format=torch.channels_last)
    leaf = x.clone().requires_grad_()
    network(leaf).square().sum().backward()
    truth = [leaf.grad, *[parameter.grad for parameter in network.parameters()]]
    torch.use_deterministic_algorithms(is_deterministic)
    try:
        for _ in range(1 if is_deterministic else 2 * TRIALS):
            with FasterBackward():
                _, gradients = step(network, x)
            assert all(error(ours, exact) < 1e-2 for ours, exact in zip(gradients, truth, strict=True))
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_padding_that_is_longer_at_the_end_is_left_to_pytorch():
    network, x = nn.Conv2d(3, 8, 2, padding="same", dilation=3), torch.rand(2, 3, 9, 8)
    with FasterBackward(), autocast():
        assert network(x).shape == (2, 8, 9, 8)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("channels", "stride"), [(3, 2), (8, (1, 3)), (12, (1, 2)), (15, 2)])
def test_strided_1x1_kernels_on_few_channels_have_right_gradients(channels, stride, precision):
    """Those of PyTorch's own end the process, or are wrong, for channels-last maps."""
    torch.manual_seed(0)
    network = nn.Conv2d(channels, 32, 1, stride=stride)
    x = torch.randn(2, channels, 60, 60)
    leaf = x.double().requires_grad_()
    network.double()(leaf).square().sum().backward()
    truth = [leaf.grad, *[parameter.grad for parameter in network.parameters()]]
    network.float().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    leaf = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    with FasterBackward(), torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        network.zero_grad()
        network(leaf).float().square().sum().backward()
    gradients = [leaf.grad, *[parameter.grad for parameter in network.parameters()]]
    limit = 1e-2 if precision == torch.bfloat16 else 1e-5
    assert all(error(ours, exact) < limit for ours, exact in zip(gradients, truth, strict=True))
