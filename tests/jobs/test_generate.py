"""Sounds as files: those of the generator, from a prime too; and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.checkpoint import save_checkpoint
from atrous.cli import main
from atrous.data.sound import read_sound, write_sound
from atrous.data.voice import Voice
from atrous.errors import CheckpointError, ConfigError, DataError, OutputError
from atrous.inference.generate import SoundGenerator
from atrous.jobs.generate import GenerateConfig, generate_files, run
from atrous.models.catalog import build_network, load_network, to_checkpoint
from atrous.models.companding import Companding
from atrous.ops.mulaw import mulaw_encode
from jobs.sounds import RATE, tone

pytest.importorskip("soundfile", reason="needs the extra audio")

NAMES = ("high", "low")
ROUNDED = 1 / 32_767  # 16 bits


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    network = build_network("wavenet_undilated", num_classes=256, in_channels=258)
    network.use_normalization_(Companding(RATE))
    path = tmp_path / "voice.safetensors"
    save_checkpoint(
        path,
        to_checkpoint(network, name="wavenet_undilated", labels=Voice(RATE, NAMES).to_dict(), progress={}),
    )
    return path


def test_a_file_for_each_condition_holds_what_the_generator_makes(checkpoint, tmp_path):
    config = GenerateConfig(
        checkpoint, condition=("low", "high"), seconds=0.3, output=tmp_path / "a.wav", seed=4
    )
    result = generate_files(config)
    assert [path.name for path in result.paths] == ["a_low.wav", "a_high.wav"]
    expected = SoundGenerator(load_network(checkpoint), conditions=[1, 0], seed=4).take(1200)
    for path, samples in zip(result.paths, expected, strict=True):
        np.testing.assert_allclose(read_sound(path, sample_rate=RATE), samples, atol=ROUNDED)
    assert "0.30 s at 4000 Hz" in result.to_table()
    assert result.to_dict()["num_samples"] == 1200


@pytest.mark.slow
def test_a_prime_is_read_and_what_follows_is_written(checkpoint, tmp_path):
    write_sound(tmp_path / "prime.wav", tone(500, 300.0), sample_rate=RATE)
    config = GenerateConfig(
        checkpoint, condition=("high",), seconds=0.1, output=tmp_path / "a.wav", prime=tmp_path / "prime.wav"
    )
    generate_files(replace(config, save_figure=tmp_path / "a.png"))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 500
    generator = SoundGenerator(load_network(checkpoint), conditions=[0])
    prime = torch.from_numpy(read_sound(tmp_path / "prime.wav", sample_rate=RATE))
    generator.feed(mulaw_encode(prime).numpy()[None])
    np.testing.assert_allclose(
        read_sound(tmp_path / "a.wav", sample_rate=RATE), generator.take(400)[0], atol=ROUNDED
    )


def test_progress_is_in_seconds_of_sound(checkpoint, tmp_path):
    told = list(run(GenerateConfig(checkpoint, condition=("low",), seconds=0.25, output=tmp_path / "a.wav")))
    made = [progress for progress in told if progress.part == "generate" and not progress.message]
    assert [progress.values["sound"] for progress in made] == ["0.1 s", "0.2 s", "0.2 s"]
    assert made[-1].done == made[-1].total == 1000


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"condition": ("loud",)}, DataError, r'no condition "loud"; known are high, low'),
        ({"condition": ()}, ConfigError, "give what to speak by --condition: one or more of high, low"),
        ({"seconds": 0.0}, ConfigError, "give more than 0"),
        ({"seconds": float("nan")}, ConfigError, "give more than 0"),
        ({"condition": ("low", "low")}, ConfigError, "name one twice"),
        ({"temperature": -1.0}, ConfigError, "temperature is -1.0; give a finite number"),
    ],
)
def test_settings_that_make_no_sound_are_refused(checkpoint, tmp_path, changes, error, words):
    options = {"condition": ("low",), "output": tmp_path / "a.wav", "seconds": 0.1, **changes}
    with pytest.raises(error, match=words):
        generate_files(GenerateConfig(checkpoint, **options))
    assert not (tmp_path / "a.wav").exists()


def test_a_file_that_is_there_stays_unless_it_may_be_overwritten(checkpoint, tmp_path):
    (tmp_path / "a.wav").write_text("mine")
    arguments = [
        "generate",
        str(checkpoint),
        "--condition",
        "low",
        "--seconds",
        "0.05",
        "-o",
        str(tmp_path / "a.wav"),
    ]
    with pytest.raises(OutputError):
        generate_files(GenerateConfig(checkpoint, condition=("low",), output=tmp_path / "a.wav"))
    assert main(arguments) == 1
    assert (tmp_path / "a.wav").read_text() == "mine"
    assert main([*arguments, "--overwrite"]) == 0
    assert len(read_sound(tmp_path / "a.wav", sample_rate=RATE)) == 200


def test_other_checkpoints_generate_nothing(tiny_checkpoint, tmp_path):
    with pytest.raises(ConfigError, match="is no generator of sound"):
        generate_files(GenerateConfig(tiny_checkpoint, output=tmp_path / "a.wav"))


def test_weights_that_are_not_finite_are_told(checkpoint, tmp_path):
    network = load_network(checkpoint)
    with torch.no_grad():
        network.get_parameter("hidden.bias")[0] = float("nan")
    save_checkpoint(
        checkpoint,
        to_checkpoint(network, name="wavenet_undilated", labels=Voice(RATE, NAMES).to_dict(), progress={}),
    )
    with pytest.raises(CheckpointError, match=r"values that are not finite, such as in hidden\.bias"):
        generate_files(GenerateConfig(checkpoint, condition=("low",), output=tmp_path / "a.wav"))


@pytest.mark.parametrize("make", [lambda path: path.write_text("no"), lambda path: None])  # noqa: ARG005
def test_a_prime_that_is_no_sound_is_told(checkpoint, tmp_path, make):
    make(tmp_path / "prime.wav")
    config = GenerateConfig(
        checkpoint, condition=("low",), output=tmp_path / "a.wav", prime=tmp_path / "prime.wav"
    )
    with pytest.raises(DataError, match=r"prime\.wav"):
        generate_files(config)


@pytest.mark.parametrize("output", ["folder.wav", "/proc/nowhere.wav"])
def test_a_place_that_cannot_be_written_is_told_before_the_first_sample(checkpoint, tmp_path, output):
    (tmp_path / "folder.wav").mkdir()
    config = GenerateConfig(checkpoint, condition=("low",), output=tmp_path / output, overwrite=True)
    with pytest.raises(OutputError, match="choose another --output"):
        next(run(config))


def test_pictures_are_no_sounds(checkpoint, tmp_path):
    with pytest.raises(ConfigError, match=r"let .*a\.wav end in \.png"):
        GenerateConfig(checkpoint, condition=("low",), save_figure=tmp_path / "a.wav")


def test_a_generator_labels_nothing(checkpoint, tmp_path, capsys):
    write_sound(tmp_path / "a.wav", tone(500, 300.0), sample_rate=RATE)
    assert (
        main(
            ["predict", "--checkpoint", str(checkpoint), str(tmp_path / "a.wav"), "-o", str(tmp_path / "out")]
        )
        == 1
    )
    assert "generates sounds and labels none; see atrous generate" in capsys.readouterr().err
