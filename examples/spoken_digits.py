"""Digits spoken by a trained WaveNet, as sounds, and as spectrograms beside real ones that it never heard.

    python examples/spoken_digits.py CHECKPOINT WORDS --digits 7 3 --output FOLDER

CHECKPOINT is that of recipes/fsdd_wavenet.toml, WORDS the folder of spoken digits that it was trained on, of
which fold0of10 was held out. FOLDER gets DIGIT_SEED.wav for each digit and seed, and spectrograms.png.
"""

import argparse
from pathlib import Path

from atrous import generate, load_network
from atrous.data.recordings import open_recordings
from atrous.data.sound import write_sound
from atrous.figures.canvas import save_figures
from atrous.figures.spectrogram import draw_spectrograms

SECONDS = 0.6


def main() -> None:
    """Generate, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("words", type=Path)
    parser.add_argument("--digits", nargs="+", default=["7", "3"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--output", type=Path, default=Path("spoken"))
    arguments = parser.parse_args()

    network = load_network(arguments.checkpoint)
    held_out = open_recordings(arguments.words, "fold0of10")
    rate = held_out.voice.sample_rate
    numbers = [held_out.voice.number_of(digit) for digit in arguments.digits]
    spoken = {
        seed: generate(
            network,
            num_samples=round(SECONDS * rate),
            seed=seed,
            conditions=numbers,
            temperature=arguments.temperature,
        )
        for seed in arguments.seeds
    }
    figures = []
    for place, (digit, number) in enumerate(zip(arguments.digits, numbers, strict=True)):
        sounds = {f'"{digit}", real': held_out[held_out.numbers.index(number)].samples}
        for seed, made in spoken.items():
            write_sound(arguments.output / f"{digit}_{seed}.wav", made[place], sample_rate=rate)
            sounds[f'"{digit}", generated, seed {seed}'] = made[place]
        figures.append(draw_spectrograms(sounds, sample_rate=rate))
    save_figures(arguments.output / "spectrograms.png", figures)


if __name__ == "__main__":
    main()
