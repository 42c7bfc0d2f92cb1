"""Generated sounds: each sample is drawn from what the network says of all before it, in any pieces."""

import numpy as np
import pytest
import torch

from atrous.inference.generate import SoundGenerator, generate
from atrous.ops.mulaw import mulaw_decode
from inference.sound_generators import generators, logits_before, rounded, small


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.parametrize("conditions", [np.array([2, 0]), torch.tensor([2, 0]), (2, 0)])
def test_conditions_of_any_kind_of_array_are_taken(conditions):
    network = small(num_conditions=3)
    wanted = generate(network, num_samples=9, conditions=[2, 0])
    np.testing.assert_array_equal(generate(network, num_samples=9, conditions=conditions), wanted)


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
