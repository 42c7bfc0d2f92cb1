"""Generated sounds: each sample is drawn from what the network says of all before it, in any pieces."""

import copy

import numpy as np
import pytest
import torch

from atrous.errors import ConfigError, ShapeError
from atrous.inference.generate import SoundGenerator, generate
from atrous.inference.next_samples import StreamedSamples
from atrous.models.catalog import build_network
from atrous.models.wavenet import WaveNet
from atrous.ops.mulaw import mulaw_decode

DILATIONS = (1, 2, 4, 1, 3)


def small(*, num_conditions: int = 0, kernel_size: int = 2, channels: int = 6, seed: int = 0) -> WaveNet:
    torch.manual_seed(seed)
    network = WaveNet(
        dilations=DILATIONS, kernel_size=kernel_size, channels=channels, skip_channels=10,
        num_conditions=num_conditions,
    )  # fmt: skip
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2.0)  # so that samples hang on what was before them
    return network.eval()


def rounded(network: WaveNet) -> WaveNet:
    """The network with the matrices that the loops keep in bfloat16 rounded to it."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("weight") and not name.startswith("first") and ".condition." not in name:
                value.copy_(value.bfloat16().float())
    return network


@torch.no_grad()
def logits_before(network, codes, conditions=None):
    """By the whole network at once."""
    shown = None if conditions is None else torch.eye(network.num_conditions)[list(conditions)]
    return network(network.normalization.before(torch.from_numpy(codes), shown)).movedim(1, 2).numpy()


@pytest.mark.parametrize("kernel_size", [1, 2, 3])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("conditions", [None, [2, 0, 1]])
def test_logits_are_those_of_the_whole_network_on_all_samples_before(kernel_size, precision, conditions):
    network = small(num_conditions=3 if conditions else 0, kernel_size=kernel_size)
    codes = np.random.default_rng(0).integers(0, 256, (3, 60))
    generator = SoundGenerator(network, conditions=conditions, num_sounds=3, precision=precision)
    found = generator.feed(codes, keeps_logits=True)
    exact = network if precision == "float32" else rounded(network)
    np.testing.assert_allclose(found, logits_before(exact, codes, conditions), rtol=0, atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("channels", "num_sounds"), [(3, 2), (4, 9), (7, 1), (16, 4), (21, 9), (40, 5)])
def test_any_number_of_channels_and_sounds_is_computed(channels, num_sounds, precision):
    network = small(channels=channels)
    codes = np.random.default_rng(0).integers(0, 256, (num_sounds, 40))
    generator = SoundGenerator(network, num_sounds=num_sounds, precision=precision)
    found = generator.feed(codes, keeps_logits=True)
    exact = network if precision == "float32" else rounded(network)
    np.testing.assert_allclose(found, logits_before(exact, codes), rtol=0, atol=1e-4)


def test_samples_are_drawn_from_the_softmax_of_what_the_whole_network_says():
    network = small()
    generator = SoundGenerator(network, num_sounds=2, seed=5, temperature=0.7, precision="float32")
    codes = generator.take_codes(50)
    logits = torch.from_numpy(logits_before(network, codes)).double()
    below = (logits / 0.7).softmax(2).cumsum(2).numpy()
    for sound in range(2):
        noise = np.random.Generator(np.random.PCG64(np.random.SeedSequence((5, 0, sound)))).random(50)
        for sample in range(50):
            share = below[sound, sample]
            code = codes[sound, sample]
            assert share[code] > noise[sample] - 1e-4
            assert code == 0 or share[code - 1] <= noise[sample] + 1e-4


def test_temperature_zero_takes_the_likeliest():
    network = small()
    codes = SoundGenerator(network, temperature=0, precision="float32").take_codes(30)
    np.testing.assert_array_equal(codes, logits_before(network, codes).argmax(2))


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000])
def test_pieces_of_any_size_are_the_whole(size):
    network = small(num_conditions=2)
    whole = SoundGenerator(network, conditions=[1, 0], seed=3).take_codes(1000)
    generator = SoundGenerator(network, conditions=[1, 0], seed=3)
    total = 1000 if size > 1 else 100
    pieces = [generator.take_codes(min(size, total - start)) for start in range(0, total, size)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole[:, :total])


def test_a_sound_does_not_depend_on_the_others():
    network = small(num_conditions=3)
    together = SoundGenerator(network, conditions=[0, 2, 1]).take_codes(80)
    alone = SoundGenerator(network, conditions=[0]).take_codes(80)
    np.testing.assert_array_equal(together[:1], alone)
    others = SoundGenerator(network, conditions=[1, 2, 2, 0]).take_codes(80)
    np.testing.assert_array_equal(together, others[[3, 1, 0]])
    assert (others[1] != others[2]).any()  # the second of its condition


def generators(kind, network, **options) -> SoundGenerator:
    """By compiled loops, or by the stream that other networks are asked through."""
    generator = SoundGenerator(network, precision="float32", **options)
    if kind == "streamed":
        generator._next = StreamedSamples(network, torch.eye(2), num_sounds=2)
    return generator


@pytest.mark.parametrize("kind", ["compiled", "streamed"])
def test_a_saved_state_goes_on(kind):
    network = small(num_conditions=2)
    one, other = (generators(kind, network, conditions=[0, 1], seed=1) for _ in range(2))
    one.take_codes(17)
    state = {name: value.clone() for name, value in one.state_dict().items()}
    rest = one.take_codes(12)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.take_codes(12), rest)
    assert other.position == 29


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


def test_the_stream_and_the_loops_draw_the_same():
    network = small(num_conditions=2)
    loops = generators("compiled", network, conditions=[0, 1])
    stream = generators("streamed", network, conditions=[0, 1])
    given = np.random.default_rng(0).integers(0, 256, (2, 20))
    np.testing.assert_allclose(
        stream.feed(given, keeps_logits=True), loops.feed(given, keeps_logits=True), rtol=0, atol=1e-4
    )
    np.testing.assert_array_equal(stream.take_codes(20), loops.take_codes(20))


def test_generate_gives_samples_of_every_condition():
    network = small(num_conditions=2)
    samples = generate(network, num_samples=50, conditions=[1, 0], seed=4)
    codes = SoundGenerator(network, conditions=[1, 0], seed=4).take_codes(50)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, mulaw_decode(torch.from_numpy(codes)).numpy())


def test_a_sound_that_was_fed_goes_on_from_there():
    network = small()
    fed = np.random.default_rng(1).integers(0, 256, (1, 30))
    generator = SoundGenerator(network, temperature=0, precision="float32")
    generator.feed(fed)
    following = generator.take_codes(5)
    whole = np.concatenate([fed, following], axis=1)
    np.testing.assert_array_equal(logits_before(network, whole)[:, 30:].argmax(2), following)


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


@pytest.mark.parametrize("conditions", [np.array([2, 0]), torch.tensor([2, 0]), (2, 0)])
def test_conditions_of_any_kind_of_array_are_taken(conditions):
    network = small(num_conditions=3)
    wanted = generate(network, num_samples=9, conditions=[2, 0])
    np.testing.assert_array_equal(generate(network, num_samples=9, conditions=conditions), wanted)


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


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("channels", [6, 37])
def test_logits_of_a_sound_are_the_same_to_the_bit_beside_any_others(channels, precision):
    network, codes = small(channels=channels), np.random.default_rng(0).integers(0, 256, (9, 50))
    together = SoundGenerator(network, num_sounds=9, precision=precision).feed(codes, keeps_logits=True)
    for sound in (0, 3, 8):
        alone = SoundGenerator(network, precision=precision).feed(codes[[sound]], keeps_logits=True)
        np.testing.assert_array_equal(alone[0], together[sound])


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_threads_change_nothing_and_their_state_is_that_of_one():
    network, conditions = small(num_conditions=3), [0, 1, 2, 1]
    generator = SoundGenerator(network, conditions=conditions, seed=2)
    start, state = generator.take_codes(20), generator.state_dict()
    rest = generator.take_codes(30)
    torch.set_num_threads(1)
    alone = SoundGenerator(network, conditions=conditions, seed=2)
    np.testing.assert_array_equal(alone.take_codes(20), start)
    for name, value in alone.state_dict().items():
        assert torch.equal(value, state[name]), name
    alone.load_state_dict(state)
    np.testing.assert_array_equal(alone.take_codes(30), rest)
