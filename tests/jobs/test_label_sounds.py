"""A labeler of sounds all the way: checked, trained, stopped, resumed, scored, and applied to files."""

import json
from dataclasses import replace

import pytest

from atrous.cli import main
from atrous.data.open import holds_only_recordings
from atrous.data.recordings import holds_recordings
from atrous.errors import ConfigError
from atrous.jobs.evaluate import EvaluateConfig
from atrous.jobs.evaluate import run as evaluate
from atrous.jobs.inference_settings import InferenceSettings
from atrous.jobs.progress import drain
from atrous.jobs.train import TrainConfig, train
from atrous.training.settings import Stage
from jobs.runs import advance, assert_same, resumed
from jobs.sounds import write_tones, write_tracks

pytest.importorskip("soundfile", reason="needs the extra audio")

STAGE = Stage(
    num_steps=4, batch_size=2, crop_size=(250,), mirror=False, optimizer="adamw", learning_rate=3e-3
)


@pytest.fixture
def tracks(tmp_path):
    return TrainConfig(
        data=write_tracks(tmp_path / "data"), output=tmp_path / "run", network="wavenet_labeler",
        device="cpu", precision="float32", front_end=STAGE, validate_every=2,
    )  # fmt: skip


@pytest.mark.slow
def test_it_is_checked_trained_scored_and_applied(tracks, tmp_path, capsys):
    assert main(["check", str(tracks.data)]) == 0
    assert "samples in sounds" in capsys.readouterr().out
    result = train(tracks)
    config = EvaluateConfig(tracks.data, result.checkpoint, inference=InferenceSettings(device="cpu"))
    assert drain(evaluate(config)).scores.to_dict() == result.scores["front_end"].to_dict()
    sound, broken = tracks.data / "val/sounds/0.wav", tmp_path / "broken.wav"
    broken.write_text("no sound")
    arguments = [
        "predict",
        "--checkpoint",
        str(result.checkpoint),
        str(sound),
        str(broken),
        "-o",
        str(tmp_path / "out"),
    ]
    capsys.readouterr()
    assert main([*arguments, "--device", "cpu"]) == 1
    said = capsys.readouterr()
    assert "1 label track written" in said.out
    assert "1 sound failed" in said.out
    lines = (tmp_path / "out/0.txt").read_text().splitlines()
    assert {line.split("\t")[2] for line in lines} <= {"silence", "tone"}
    assert float(lines[0].split("\t")[0]) == 0
    assert float(lines[-1].split("\t")[1]) == 300 / 4000
    (failure,) = (tmp_path / "out/failures.jsonl").read_text().splitlines()
    assert "no sound that can be read" in json.loads(failure)["error"]


@pytest.mark.slow
def test_a_stopped_run_goes_on_bit_for_bit(tracks, tmp_path):
    train(tracks)
    stopped = replace(tracks, output=tmp_path / "stopped")
    advance(stopped, "front_end", 3)
    train(resumed(stopped))
    assert_same(tracks.output, stopped.output)


@pytest.mark.slow
def test_it_learns_where_the_tone_is(tracks):
    stage = replace(STAGE, num_steps=40)
    assert train(replace(tracks, front_end=stage, validate_every=0)).scores["front_end"].goodness > 0.8


def test_networks_for_images_are_refused(tracks):
    with pytest.raises(
        ConfigError, match=r"compact labels images, and .* holds sounds; give a --network for sounds"
    ):
        train(replace(tracks, network="compact"))


@pytest.mark.slow
def test_what_sounds_do_not_have_is_refused(tracks, tmp_path, capsys):
    train(replace(tracks, front_end=replace(STAGE, num_steps=1)))
    checkpoint, sound = str(tracks.output / "model.safetensors"), str(tracks.data / "val/sounds/0.wav")
    arguments = ["predict", "--checkpoint", checkpoint, sound, "-o", str(tmp_path / "out")]
    refusals = {
        "--crf": "the network is for sounds, which are seen once and whole; leave out crf",
        "--flip": "the network is for sounds",
        "--engine=openvino": "OpenVINO computes images here, not volumes or sounds",
        "--save-probabilities": "a label track holds no probabilities",
    }
    for option, words in refusals.items():
        assert main([*arguments, option]) == 1
        assert words in capsys.readouterr().err, option


def test_a_stray_sound_makes_no_data_set_of_images_one_of_sounds(tiny_data):
    tracks_folder = tiny_data / "audio"
    write_tracks(tracks_folder)
    (tracks_folder / "train/sounds/1.wav").rename(tiny_data / "stray.wav")
    assert holds_recordings(tiny_data)
    assert not holds_only_recordings(tiny_data)
    assert holds_only_recordings(write_tones(tiny_data / "tones"))
