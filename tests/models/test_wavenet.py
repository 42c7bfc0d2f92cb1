"""WaveNet: what it sees, that it sees no future, its conditions, its size, and where its loss starts."""

import math

import pytest
import torch
from torch.nn import functional

from atrous.errors import ConfigError
from atrous.geometry.receptive_field import receptive_field
from atrous.models.catalog import build_network
from atrous.models.companding import Companding
from atrous.models.wavenet import CHANNELS, DILATIONS, WaveNet


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "samples"),
    [
        ({}, 3070),  # 30 layers of kernel 2: 3 * (1 + 2 + .. + 512) + 1
        ({"kernel_size": 3, "dilations": (1, 2, 4, 8, 16, 32) * 4}, 505),
        ({"kernel_size": 3, "dilations": (1, 2, 4, 8, 16, 32) * 4, "is_causal": False}, 505),
    ],
)
def test_it_sees_so_many_samples(options, samples):
    with torch.device("meta"):
        network = WaveNet(**options)
        field = receptive_field(network, torch.zeros(1, 256, 4000))
    assert field.local == (samples,) == (network.receptive_field,)
    assert field.center == (network.center,)
    last = 0 if options.get("is_causal", True) else samples // 2
    assert set(field.axes[0].last) == {last}


def small(**options) -> WaveNet:
    torch.manual_seed(0)
    network = WaveNet(5, dilations=(1, 2, 4), channels=8, skip_channels=8, **options).double().eval()
    assert isinstance(network.normalization, Companding)
    assert network.normalization.levels == 256
    return network


def one_hot(codes: torch.Tensor) -> torch.Tensor:
    return functional.one_hot(codes, 256).movedim(-1, 1).double()


@torch.no_grad()
@pytest.mark.parametrize(("kernel_size", "is_causal"), [(1, True), (2, True), (3, True), (3, False)])
def test_logits_hang_on_the_samples_of_its_field_and_no_others(kernel_size, is_causal):
    network = small(kernel_size=kernel_size, is_causal=is_causal)
    field = network.receptive_field
    ahead = 0 if is_causal else field // 2
    codes = torch.randint(256, (1, 60), generator=torch.Generator().manual_seed(0))
    before = network(one_hot(codes))[0, :, 30]
    moved = []
    for sample in range(60):
        poked = codes.clone()
        poked[0, sample] = (poked[0, sample] + 100) % 256
        if (network(one_hot(poked))[0, :, 30] - before).abs().max() > 1e-12:
            moved.append(sample)
    assert moved == list(range(30 + ahead - field + 1, 30 + ahead + 1))


@torch.no_grad()
def test_conditions_change_what_it_says_and_may_change_on_the_way():
    network = small(num_conditions=3)
    codes = one_hot(torch.randint(256, (1, 40), generator=torch.Generator().manual_seed(0)))
    constant = [
        network(torch.cat([codes, torch.eye(3).double()[number].view(1, 3, 1).expand(1, 3, 40)], 1))
        for number in range(3)
    ]
    assert (constant[0] - constant[1]).abs().max() > 1e-3
    local = torch.eye(3).double()[[0] * 20 + [1] * 20].T[None]
    both = network(torch.cat([codes, local], 1))
    torch.testing.assert_close(both[..., :20], constant[0][..., :20])
    torch.testing.assert_close(both[..., 20 + 7 :], constant[1][..., 20 + 7 :])


def test_weights_are_those_of_the_table():
    with torch.device("meta"):
        network = build_network("wavenet", in_channels=266)
    dilated = 2 * CHANNELS * 2 * CHANNELS + 2 * CHANNELS
    one = CHANNELS * CHANNELS + CHANNELS
    layer = dilated + 10 * 2 * CHANNELS + 2 * one
    first, last = 256 * CHANNELS + CHANNELS, one + CHANNELS * 256 + 256
    assert network.num_parameters() == first + len(DILATIONS) * layer - one + last
    assert (network.num_channels, network.num_classes, network.num_axes) == (266, 256, 1)


def test_the_loss_starts_at_about_the_logarithm_of_256():
    torch.manual_seed(0)
    network = build_network("wavenet").eval()
    codes = torch.randint(256, (2, 500))
    with torch.no_grad():
        loss = functional.cross_entropy(network(Companding().before(codes)), codes)
    assert loss.item() == pytest.approx(math.log(256), abs=0.05)


def test_what_is_read_before_a_sample_is_the_one_before_it_and_the_conditions():
    codes = torch.tensor([[5, 7, 255]])
    shown = Companding().before(codes, torch.tensor([[0.0, 1.0]]))
    assert shown.shape == (1, 258, 3)
    assert [column.nonzero().flatten().tolist() for column in shown[0].T] == [[257], [5, 257], [7, 257]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dilations": ()}, "make no network; give at least one layer"),
        ({"dilations": (1, 0)}, "make no network"),
        ({"channels": 0}, "make no network"),
        ({"kernel_size": 2, "is_causal": False}, "a kernel of 2 taps has no middle"),
    ],
)
def test_what_is_no_network_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        WaveNet(**options)
