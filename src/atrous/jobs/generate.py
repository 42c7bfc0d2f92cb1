"""Generate sound from a checkpoint, sample by sample, or go on with a recording."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from jaxtyping import Float32
from tyro.conf import Positional, arg

from atrous.errors import ConfigError
from atrous.files import refuse_existing, refuse_unwritable
from atrous.jobs.progress import Job, Progress, drain

if TYPE_CHECKING:
    from atrous.data.voice import Voice
    from atrous.inference.generate import SoundGenerator

PIECE = 0.1  # seconds of sound between two words of progress
MOST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class GenerateConfig:
    """Generate sound from a checkpoint.

    Attributes:
        checkpoint: Of a generator of sound, made by `atrous train`.
        condition: What to speak: one or more names that the network knows, a sound each.
        seconds: Length of each sound, beyond what --prime gives.
        output: WAV to write; of several sounds, the condition stands before the ending.
        prime: A recording that the sounds go on with; only what follows it is written.
        temperature: Below 1 for likelier samples, 0 for the likeliest, above 1 for less likely ones.
        seed: Of what is drawn.
        precision: bfloat16, the weights of a WaveNet in 16 bits, or float32; sums are float32.
        save_figure: PNG of the sounds' spectrograms; of the recording's too, where one was given.
        overwrite: Replace files that are there already.
    """

    checkpoint: Annotated[Positional[Path], arg(metavar="CHECKPOINT")]
    condition: tuple[str, ...] = ()
    seconds: float = 2.0
    output: Annotated[Path, arg(aliases=("-o",))] = Path("generated.wav")
    prime: Path | None = None
    temperature: float = 1.0
    seed: int = 0
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    save_figure: Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= MOST_SECONDS:
            raise ConfigError(f"seconds is {self.seconds}; give more than 0, and {MOST_SECONDS:g} at most")
        if self.output.suffix.lower() != ".wav":
            raise ConfigError(f"sound is written as WAV; let {self.output} end in .wav")
        if self.save_figure is not None and self.save_figure.suffix.lower() != ".png":
            raise ConfigError(f"pictures are written as PNG; let {self.save_figure} end in .png")
        if len(set(self.condition)) < len(self.condition):
            raise ConfigError(f"conditions {' '.join(self.condition)} name one twice; give each once")

    @property
    def paths(self) -> tuple[Path, ...]:
        """Files to write, one a condition."""
        if len(self.condition) < 2:
            return (self.output,)
        return tuple(self.output.with_stem(f"{self.output.stem}_{name}") for name in self.condition)


@dataclass(frozen=True, slots=True)
class GenerateResult:
    """What was written.

    Attributes:
        paths: Of the files.
        sample_rate: Hz.
        num_samples: Of each.
        speed: Samples a second, of all sounds together.
    """

    paths: tuple[Path, ...]
    sample_rate: int
    num_samples: int
    speed: float
    exit_code: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "paths": [str(path) for path in self.paths],
            "sample_rate": self.sample_rate,
            "num_samples": self.num_samples,
            "samples_per_second": self.speed,
        }

    def to_table(self) -> str:
        """The files, and how fast they came."""
        seconds = self.num_samples / self.sample_rate
        lines = [f"{path}  {seconds:.2f} s at {self.sample_rate} Hz" for path in self.paths]
        times = self.speed / self.sample_rate
        return "\n".join([*lines, f"{self.speed:,.0f} samples a second, {times:.1f} x real time"])


def run(config: GenerateConfig) -> Job[GenerateResult]:
    """Generate; yields progress, returns what was written.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
        ConfigError: If it generates no sound, or a setting does not fit it.
        DataError: If there is no such condition, or the recording cannot be read.
        OutputError: If a file is there already or cannot be written.
    """
    for path in (*config.paths, *filter(None, [config.save_figure])):
        refuse_existing(path, overwrite=config.overwrite)
        refuse_unwritable(path)
    from atrous.data.sound import write_sound
    from atrous.figures.canvas import save_figure
    from atrous.figures.spectrogram import draw_spectrograms

    generator, voice = _generator(config)
    yield Progress(0, 0, "compile, once")
    generator.take(0)
    prime: dict[str, Float32[np.ndarray, " _t"]] = {}
    if config.prime is not None:
        yield Progress(0, 0, f"listen to {config.prime.name}")
        prime[config.prime.name] = _listen(generator, config.prime)
    num_samples = max(1, round(config.seconds * voice.sample_rate))
    started = time.perf_counter()
    pieces: list[Float32[np.ndarray, "b n"]] = []
    for done, piece in _pieces(generator, num_samples, voice.sample_rate):
        pieces.append(piece)
        times = done / voice.sample_rate / (time.perf_counter() - started)
        values = {"sound": f"{done / voice.sample_rate:.1f} s", "real time": f"x {times:.1f}"}
        yield Progress(done, num_samples, "generate", values)
    speed = num_samples * generator.num_sounds / (time.perf_counter() - started)
    sounds = dict(zip(config.paths, np.concatenate(pieces, axis=1), strict=True))
    for path, samples in sounds.items():
        write_sound(path, samples, sample_rate=voice.sample_rate)
    if config.save_figure is not None:
        named = {**prime, **{path.stem: samples for path, samples in sounds.items()}}
        save_figure(config.save_figure, draw_spectrograms(named, sample_rate=voice.sample_rate))
    return GenerateResult(config.paths, voice.sample_rate, num_samples, speed)


def _generator(config: GenerateConfig) -> "tuple[SoundGenerator, Voice]":
    """What speaks, and what it knows.

    Raises:
        ConfigError: If the checkpoint generates no sound.
        DataError: If there is no such condition.
    """
    from atrous.checkpoint import load_checkpoint
    from atrous.data.meaning import meaning_of
    from atrous.data.voice import Voice
    from atrous.inference.generate import SoundGenerator
    from atrous.models.catalog import network_of

    checkpoint = load_checkpoint(config.checkpoint)
    voice = meaning_of(checkpoint.labels)
    if not isinstance(voice, Voice):
        raise ConfigError(
            f"{config.checkpoint} is no generator of sound; give one that was trained on sounds, or see "
            "atrous predict"
        )
    if voice.conditions and not config.condition:
        raise ConfigError(f"give what to speak by --condition: one or more of {', '.join(voice.conditions)}")
    conditions = [voice.number_of(name) for name in config.condition] or None
    network = network_of(checkpoint, source=str(config.checkpoint))
    generator = SoundGenerator(
        network,
        conditions=conditions,
        seed=config.seed,
        temperature=config.temperature,
        precision=config.precision,
    )
    return generator, voice


def _listen(generator: "SoundGenerator", path: Path) -> Float32[np.ndarray, " t"]:
    """Have all sounds go on from a recording; returns it."""
    import torch

    from atrous.data.sound import read_sound
    from atrous.ops.mulaw import mulaw_encode

    companding = generator.companding
    samples = read_sound(path, sample_rate=companding.sample_rate)
    codes = mulaw_encode(torch.from_numpy(samples), levels=companding.levels).numpy()
    generator.feed(np.repeat(codes[None], generator.num_sounds, axis=0))
    return samples


def _pieces(
    generator: "SoundGenerator", num_samples: int, sample_rate: int
) -> Iterator[tuple[int, Float32[np.ndarray, "b n"]]]:
    """Samples so far, and the last of them."""
    size = max(1, round(PIECE * sample_rate))
    for start in range(0, num_samples, size):
        stop = min(start + size, num_samples)
        yield stop, generator.take(stop - start)


def generate_files(config: GenerateConfig) -> GenerateResult:
    """Generate and return the result; the job behind `atrous generate` for use from Python."""
    return drain(run(config))
