"""What generates no sound: settings, states, networks and weights, and what is said of each."""

import numpy as np
import pytest
import torch

from atrous.errors import ConfigError, ShapeError
from atrous.inference.generate import SoundGenerator
from atrous.models.catalog import build_network
from atrous.models.wavenet import WaveNet
from inference.sound_generators import generators, small


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("position"), "lacks its position"),
        (lambda state: state.update(position=torch.tensor(-1)), "lacks its position"),
        (lambda state: state.update({"next.codes": torch.tensor([10**12])}), "is damaged"),
        (lambda state: state["next.ring"].fill_(float("nan")), "is damaged"),
        (lambda state: state.pop("next.ring"), "of another network"),
    ],
)
def test_a_damaged_state_is_refused(change, words):
    generator = SoundGenerator(small())
    generator.take_codes(3)
    state = generator.state_dict()
    change(state)
    with pytest.raises(ConfigError, match=words):
        generator.load_state_dict(state)


@pytest.mark.parametrize("other", [{"seed": 4, "conditions": [0, 1]}, {"conditions": [1, 0]}])
def test_a_state_of_other_sounds_is_refused(other):
    network = small(num_conditions=2)
    state = SoundGenerator(network, conditions=[0, 1]).state_dict()
    with pytest.raises(ConfigError, match="of another seed or other conditions"):
        SoundGenerator(network, **other).load_state_dict(state)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": -1.0}, r"temperature is -1.0; give a finite number"),
        ({"temperature": float("nan")}, r"temperature is nan"),
        ({"seed": -1}, r"seed is -1; give a whole number from 0 on"),
        ({"num_sounds": 0}, r"num_sounds is 0; give a whole number from 1 on"),
        ({"conditions": [0]}, r"conditions are \[0\], and the network knows 0; give none"),
    ],
)
def test_settings_that_generate_nothing_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        SoundGenerator(small(), **options)


@pytest.mark.parametrize("conditions", [None, [], [3]])
def test_conditions_that_the_network_does_not_know_are_refused(conditions):
    with pytest.raises(ConfigError, match=r"the network knows 3; give one of 0 .. 2 for each sound"):
        SoundGenerator(small(num_conditions=3), conditions=conditions)


@pytest.mark.parametrize("conditions", [[-1], [True]])
def test_conditions_that_are_no_numbers_are_refused(conditions):
    with pytest.raises(ConfigError, match=r"a condition is .*; give a whole number from 0 on"):
        SoundGenerator(small(num_conditions=3), conditions=conditions)


@pytest.mark.parametrize("kind", ["compiled", "streamed"])
@pytest.mark.parametrize("temperature", [0, 1])
def test_outputs_that_are_not_finite_are_told(kind, temperature):
    network = small(num_conditions=2)
    with torch.no_grad():
        network.get_parameter("final.bias")[7] = 3e38
        network.final.weight[7] = 3e38
    generator = generators(kind, network, conditions=[0, 1], temperature=temperature)
    with pytest.raises(ConfigError, match="outputs are not finite"):
        generator.take(20)


def test_a_number_of_samples_is_whole():
    with pytest.raises(ConfigError, match="num_samples is -1"):
        SoundGenerator(small()).take(-1)


def test_weights_that_are_not_finite_are_refused():
    network = small()
    with torch.no_grad():
        network.hidden.weight[0, 0] = float("nan")
    with pytest.raises(ConfigError, match=r"not finite, such as hidden.weight; train it again"):
        SoundGenerator(network)


def test_networks_of_something_else_are_refused():
    with pytest.raises(ConfigError, match=r"CompactFrontEnd says no next sample of a sound"):
        SoundGenerator(build_network("compact"))
    with pytest.raises(ConfigError, match=r"WaveNet says no next sample of a sound"):
        SoundGenerator(WaveNet(2, dilations=(1,)))


def test_networks_that_read_ahead_are_refused():
    network = WaveNet(dilations=(1, 2), kernel_size=3, channels=4, skip_channels=4, is_causal=False).eval()
    with pytest.raises(ConfigError, match=r"reads samples ahead"):
        SoundGenerator(network).take(3)


@pytest.mark.parametrize(
    "codes", [np.zeros((2, 3), np.int64), np.zeros(3, np.int64), np.zeros((1, 3)), np.full((1, 3), 256)]
)
def test_codes_that_are_none_are_refused(codes):
    with pytest.raises(ShapeError, match=r"are not those of 1 sounds|are none; they lie in 0 .. 255"):
        SoundGenerator(small()).feed(codes)
