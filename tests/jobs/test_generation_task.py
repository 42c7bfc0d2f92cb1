"""A generator of sound all the way: picked for, trained, stopped, resumed, scored; and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from atrous.checkpoint import load_checkpoint
from atrous.cli import main
from atrous.data.recordings import open_recordings
from atrous.data.sound import write_sound
from atrous.errors import ConfigError, DataError
from atrous.evaluation.generation import GenerationScores
from atrous.jobs.evaluate import EvaluateConfig
from atrous.jobs.evaluate import run as evaluate
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.pick_sounds import pick_for_sounds
from atrous.jobs.progress import drain
from atrous.jobs.train import TrainConfig, train
from atrous.models.catalog import load_network
from atrous.models.companding import Companding
from atrous.ops.mulaw import mulaw_encode
from atrous.training.settings import Stage
from jobs.runs import advance, assert_same, resumed
from jobs.sounds import PITCHES, RATE, tone, write_tones

pytest.importorskip("soundfile", reason="needs the extra audio")

STAGE = Stage(num_steps=4, batch_size=2, crop_size=(90,), mirror=False, optimizer="adamw", learning_rate=1e-3)
CPU = InferenceSettings(device="cpu")


@pytest.fixture
def tones(tmp_path):
    return TrainConfig(
        data=write_tones(tmp_path / "tones"), output=tmp_path / "run", network="wavenet_undilated",
        device="cpu", precision="float32", front_end=STAGE, validate_every=2,
    )  # fmt: skip


def scores_of(config: TrainConfig) -> GenerationScores:
    scores = train(config).scores["front_end"]
    assert isinstance(scores, GenerationScores)
    return scores


@pytest.mark.slow
def test_the_checkpoint_knows_rate_and_conditions_and_scores_as_in_training(tones, tmp_path):
    result = train(tones)
    voice = load_checkpoint(result.checkpoint).labels["voice"]
    assert voice == {"sample_rate": RATE, "conditions": sorted(PITCHES), "levels": 256}
    assert load_network(result.checkpoint).normalization == Companding(RATE)
    assert tones.data is not None
    config = EvaluateConfig(
        tones.data, result.checkpoint, split="fold0of10", output=tmp_path / "scores", inference=CPU
    )
    scores = drain(evaluate(config)).scores
    assert scores == result.scores["front_end"]
    assert (tmp_path / "scores/scores.json").is_file()
    assert f"{scores.figure:.3f}" in result.to_table()


@pytest.mark.slow
def test_bits_are_what_every_sample_takes_given_those_before(tones):
    """By the definition, a sample at a time."""
    scores, network = scores_of(tones), load_network(tones.output / "front_end.safetensors")
    held_out = open_recordings(tones.data, "fold0of10")
    taken, codes = [], []
    for index in range(len(held_out)):
        recording = held_out[index]
        sound = mulaw_encode(torch.from_numpy(recording.samples))
        condition = torch.eye(2)[recording.condition].reshape(1, 2, 1)
        for sample in range(0, len(sound), 10):
            before = torch.zeros(256, 1, sample + 1)  # one-hot codes, and nothing before the first
            before[sound[:sample], 0, torch.arange(sample) + 1] = 1
            shown = torch.cat([before.movedim(1, 0), condition.expand(-1, -1, sample + 1)], dim=1)
            with torch.no_grad():
                logits = network(shown)[0, :, -1]
            taken.append(float(functional.cross_entropy(logits, sound[sample])) / np.log(2))
        codes.append(sound.numpy())
    counts = np.bincount(np.concatenate(codes))
    shares = counts[counts > 0] / counts.sum()
    assert scores.num_samples == counts.sum()
    assert scores.unigram_bits == pytest.approx(-(shares * np.log2(shares)).sum())
    assert scores.bits == pytest.approx(np.mean(taken), abs=0.5)  # of every tenth sample
    assert scores.bits == pytest.approx(8, abs=0.5)  # ln 256, hardly trained


@pytest.mark.slow
def test_a_stopped_run_goes_on_bit_for_bit(tones, tmp_path):
    train(tones)
    stopped = replace(tones, output=tmp_path / "stopped")
    advance(stopped, "front_end", 3)
    train(resumed(stopped))
    assert_same(tones.output, stopped.output)


@pytest.mark.slow
def test_it_learns_tones(tones):
    """Two pitches over noise: far from the shares of their codes."""
    stage = replace(STAGE, num_steps=200, batch_size=4, learning_rate=3e-3)
    scores = scores_of(replace(tones, front_end=stage, validate_every=0))
    assert scores.bits < scores.unigram_bits - 1


def test_what_nobody_set_is_picked(tones):
    choice = pick_for_sounds(
        replace(tones, front_end=Stage(), minutes=1e-9, network=""), open_recordings(tones.data, "train")
    )
    assert (choice.config.network, choice.config.front_end.crop_size) == ("wavenet", (256,))
    assert any("2 conditions: high, low" in reason for reason in choice.reasons)


def test_no_recipe_is_picked_for_a_network_that_takes_no_sounds(tones):
    with pytest.raises(ConfigError, match="compact takes no sounds; choose wavenet"):
        train(replace(tones, front_end=Stage(), network="compact"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": "compact"}, "compact takes no sounds; choose wavenet"),
        (
            {"network": "wavenet_labeler"},
            r'"wavenet_labeler" takes .* not 258; choose wavenet or wavenet_undilated$',
        ),
        ({"front_end": replace(STAGE, crop_size=(32, 32))}, "sounds have a crop_size of one number"),
        ({"front_end": replace(STAGE, loss="dice")}, "codes of sounds are learned by cross_entropy"),
        ({"front_end": replace(STAGE, class_weights="median_frequency")}, "class_weights are for labels"),
    ],
)
def test_what_fits_no_sound_is_refused(tones, changes, words):
    with pytest.raises(ConfigError, match=words):
        train(replace(tones, **changes))


@pytest.mark.slow
def test_sounds_of_other_conditions_are_not_scored(tones, tmp_path):
    result = train(replace(tones, front_end=replace(STAGE, num_steps=1)))
    for number in range(2):
        write_sound(tmp_path / "other" / f"loud_{number}.wav", tone(50, 300.0), sample_rate=RATE)
    with pytest.raises(
        DataError, match=r"speaks 4000 Hz, 2 conditions \(high, low, \.\.\.\), and the sounds are"
    ):
        drain(evaluate(EvaluateConfig(tmp_path / "other", result.checkpoint, split="train", inference=CPU)))


def test_broken_sounds_are_told_before_training(tones, capsys):
    (tones.data / "high_3.wav").write_bytes(b"RIFF")
    assert main(["train", str(tones.data), "--output", str(tones.output), "--device", "cpu"]) == 1
    said = capsys.readouterr().err
    assert "high_3.wav is no sound that can be read" in said
    assert "atrous check" in said
