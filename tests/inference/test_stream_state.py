"""A stream's state, saved at any moment, goes on in another stream."""

import pytest
import torch
from torch import nn

from atrous.errors import ConfigError
from atrous.inference.stream import Stream
from inference.networks import UNet


@pytest.mark.slow
def test_a_saved_state_goes_on_in_another_stream():
    torch.manual_seed(0)
    network, images = UNet().double().eval(), torch.randn(1, 2, 40, 16, dtype=torch.float64)
    one, other = (Stream(network, images[:, :, :16]) for _ in range(2))
    first = one.push(images[:, :, :23])
    other.load_state_dict(one.state_dict())
    rest = [stream.push(images[:, :, 23:]) for stream in (one, other)]
    ends = [stream.flush() for stream in (one, other)]
    torch.testing.assert_close(rest[1], rest[0], rtol=0, atol=0)
    torch.testing.assert_close(
        torch.cat([first, rest[1], ends[1]], 2), network(images), rtol=1e-12, atol=1e-12
    )
    with pytest.raises(ConfigError, match="another network"):
        Stream(nn.Conv2d(2, 2, 3).double(), images).load_state_dict(one.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        nn.Conv1d(2, 2, 3, padding=1),
        pytest.param(nn.ConvTranspose1d(2, 2, 5, 3), marks=pytest.mark.slow),
        nn.ConstantPad1d((1, 3), 0.5),
        pytest.param(nn.LPPool1d(2, 3, stride=2), marks=pytest.mark.slow),
        pytest.param(nn.Conv1d(2, 2, 3, padding=1, padding_mode="reflect"), marks=pytest.mark.slow),
        nn.Sequential(nn.MaxPool1d(3, 2, ceil_mode=True), nn.Upsample(scale_factor=2, mode="linear")),
    ],
)
def test_a_state_of_any_moment_goes_on(network: nn.Module):
    samples = torch.randn(1, 2, 11, generator=torch.Generator().manual_seed(0)).double()
    network = network.double().eval()
    with torch.no_grad():
        whole = network(samples)
    for moment in range(12):
        one, other = (Stream(network, samples, axis=-1) for _ in range(2))
        pieces = [one.push(samples[..., index : index + 1]) for index in range(moment)]
        other.load_state_dict(one.state_dict())
        pieces += [other.push(samples[..., index : index + 1]) for index in range(moment, 11)]
        torch.testing.assert_close(torch.cat([*pieces, other.flush()], -1), whole, rtol=1e-12, atol=1e-12)


def test_a_state_of_another_kernel_or_axis_is_refused():
    images = torch.zeros(1, 1, 16, 16)
    state = Stream(nn.Conv2d(1, 1, 3, padding=1), images).state_dict()
    for network, axis in ((nn.Conv2d(1, 1, 5, padding=4), -2), (nn.Conv2d(1, 1, 3, padding=1), -1)):
        with pytest.raises(ConfigError, match="another network"):
            Stream(network, images, axis=axis).load_state_dict(state)
