"""Long recordings with known speech, out of short ones of single words: something for a labeler to learn.

    python examples/speech_tracks.py WORDS OUTPUT

WORDS is a folder of sounds, one word each, such as the spoken digits of the FSDD. OUTPUT becomes a data set
of the layout DATA/SPLIT/{sounds,labels}: words apart by pauses, over noise of several levels, those of a
held-out tenth in val; the label tracks say where speech is.
"""

import sys
from pathlib import Path

import numpy as np

from atrous.data.label_tracks import write_label_track
from atrous.data.labels import LabelSet
from atrous.data.recordings import open_recordings
from atrous.data.sound import write_sound

LABELS = LabelSet(("silence", "speech"))
WORDS_EACH = 20
SECONDS_BETWEEN = (0.1, 1.0)
NOISE = (0.0005, 0.03)  # standard deviations, evenly drawn in logarithms
LOUDNESS = (0.3, 1.0)
QUIET = 0.02  # of a word's peak, below which its ends are no speech


def spoken(samples: np.ndarray) -> slice:
    """From the first to the last sample of a word that is not quiet."""
    loud = np.flatnonzero(np.abs(samples) > QUIET * np.abs(samples).max())
    return slice(int(loud[0]), int(loud[-1]) + 1)


def recording(
    words: list[np.ndarray], rate: int, random: np.random.Generator
) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """Words over noise, and the stretches of silence and speech."""
    parts, stretches, position = [], [], 0
    for word in words:
        pause = np.zeros(int(rate * random.uniform(*SECONDS_BETWEEN)), np.float32)
        voice = word[spoken(word)] * np.float32(random.uniform(*LOUDNESS))
        parts += [pause, voice]
        middle = position + len(pause)
        stretches += [(position, middle, 0), (middle, middle + len(voice), 1)]
        position = middle + len(voice)
    level = np.exp(random.uniform(*np.log(NOISE)))
    samples = np.concatenate(parts)
    return samples + random.normal(0, level, len(samples)).astype(np.float32), stretches


def main(source: Path, output: Path) -> None:
    """40 recordings to learn from, and 8 to be judged by."""
    for split, part, number in (("train", "not-fold0of10", 40), ("val", "fold0of10", 8)):
        words = open_recordings(source, part)
        random = np.random.default_rng(number)
        for index in range(number):
            chosen = random.choice(len(words), WORDS_EACH)
            samples, stretches = recording(
                [words[int(word)].samples for word in chosen], words.voice.sample_rate, random
            )
            name, rate = f"{index:02d}", words.voice.sample_rate
            write_sound(output / split / "sounds" / f"{name}.wav", samples.clip(-1, 1), sample_rate=rate)
            track = output / split / "labels" / f"{name}.txt"
            write_label_track(track, stretches, LABELS, sample_rate=rate)
    (output / "labels.toml").write_text(f"names = {list(LABELS.names)}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
