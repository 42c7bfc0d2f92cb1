"""Labels of sounds: streamed in any blocks they are those of the whole, and become label tracks."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from atrous.data.label_tracks import read_label_track
from atrous.data.labels import LabelSet
from atrous.data.sound import read_sound, write_sound
from atrous.data.voice import Voice
from atrous.errors import ConfigError, DataError, ShapeError
from atrous.inference.predictor import Predictor
from atrous.inference.sound_prediction import WHOLE_SAMPLES, label_blocks, sound_scores
from atrous.inference.sound_work import SoundWork, gather
from atrous.models.catalog import build_network
from atrous.models.companding import Companding
from atrous.models.wavenet import WaveNet

pytest.importorskip("soundfile", reason="needs the extra audio")

CPU = torch.device("cpu")
RATE = 8000
CLASSES = LabelSet(("silence", "speech", "music"))


def predictor_of(network) -> Predictor:
    network.use_normalization_(Companding(RATE))
    return Predictor(network, label_set=CLASSES, device="cpu")


def small() -> WaveNet:
    torch.manual_seed(0)
    network = WaveNet(3, dilations=(1, 2, 4, 8), kernel_size=3, channels=8, skip_channels=8, is_causal=False)
    with torch.no_grad():
        network.final.bias -= whole(network, noise(5000)).mean(1)  # so that every class is met
    return network.eval()


def noise(num_samples: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.8, 0.8, num_samples).astype(np.float32)


@torch.no_grad()
def whole(network, samples):
    return network(network.normalization.apply(torch.from_numpy(samples)[None, None]))[0]


@pytest.mark.slow
@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.slow), 7, 1000, 40_000])
def test_labels_in_blocks_are_those_of_the_whole(size):
    predictor, samples = predictor_of(small()), noise(40_000 if size > 7 else 90)
    blocks = np.split(samples, range(size, len(samples), size))
    found = np.concatenate(list(label_blocks(predictor.network, predictor.engine, blocks, device=CPU)))
    np.testing.assert_array_equal(found, whole(predictor.network, samples).argmax(0).numpy())
    assert len(np.unique(found)) == 3


@pytest.mark.slow
def test_a_long_sound_has_the_scores_that_it_has_at_once():
    predictor, samples = predictor_of(small()), noise(WHOLE_SAMPLES + 5)
    found = sound_scores(predictor.network, predictor.engine, samples, device=CPU)
    torch.testing.assert_close(found, whole(predictor.network, samples), rtol=0, atol=1e-5)


@pytest.mark.parametrize("num_samples", [1, 2, 30])
def test_a_sound_shorter_than_the_field_is_labeled(num_samples):
    predictor, samples = predictor_of(build_network("wavenet_labeler", num_classes=3)), noise(num_samples)
    prediction = predictor(samples)
    assert prediction.label_map.shape == (num_samples,)
    np.testing.assert_array_equal(prediction.label_map, whole(predictor.network, samples).argmax(0).numpy())


def test_blocks_are_gathered_into_stretches_of_one_class():
    labels = np.random.default_rng(0).integers(0, 3, 40).repeat(np.random.default_rng(1).integers(1, 9, 40))
    stretches: list[tuple[int, int, int]] = []
    done = list(gather(np.split(labels.astype(np.uint8), [13, 14, 80]), stretches))
    assert done == [13, 14, 80, len(labels)]
    rebuilt = np.concatenate([np.full(end - begin, label) for begin, end, label in stretches])
    np.testing.assert_array_equal(rebuilt, labels)
    assert all(a[2] != b[2] and a[1] == b[0] for a, b in pairwise(stretches))


@pytest.mark.slow
@pytest.mark.parametrize("rate", [RATE, 22_050])
def test_a_file_becomes_a_track_at_any_rate(tmp_path, rate):
    predictor = predictor_of(small())
    write_sound(tmp_path / "a.wav", noise(5000), sample_rate=rate)
    work = SoundWork(tmp_path / "a.wav", tmp_path / "a.txt")
    parts, part = work.predict(predictor, None), None
    while True:
        try:
            part = next(parts)
        except StopIteration as stop:
            work.write(stop.value)
            break
    samples = read_sound(tmp_path / "a.wav", sample_rate=RATE)
    assert part is not None
    assert part.done == part.total == len(samples)
    found = read_label_track(tmp_path / "a.txt", CLASSES, num_samples=len(samples), sample_rate=RATE)
    np.testing.assert_array_equal(found, predictor(samples).label_map)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4, 3), np.uint8), r"labels sounds, float32 \(t,\), not uint8 \(4, 4, 3\)"),
        (np.zeros(0, np.float32), r"not float32 \(0,\)"),
        (np.zeros(5), r"not float64 \(5,\)"),
    ],
)
def test_arrays_that_are_no_sounds_are_refused(image, words):
    with pytest.raises(ShapeError, match=words):
        predictor_of(small())(image)


def test_samples_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="samples that are not finite"):
        predictor_of(small())(np.array([0, np.inf], np.float32))


def test_a_generator_labels_nothing():
    predictor = Predictor(build_network("wavenet", num_classes=256), label_set=Voice(16_000), device="cpu")
    with pytest.raises(ConfigError, match="generates sounds and labels none; see atrous generate"):
        predictor(noise(10))
