"""Sounds with a class at every sample: DATA/SPLIT/{sounds,labels} and DATA/labels.toml.

| file                        | what                                                               |
|-----------------------------|--------------------------------------------------------------------|
| DATA/SPLIT/sounds/STEM.wav  | a sound of any length                                              |
| DATA/SPLIT/labels/STEM.txt  | its label track; where no line says more, the first class is meant |
| DATA/labels.toml            | names of the classes                                               |
"""

from pathlib import Path

from atrous.data.folder import Dataset, Pair
from atrous.data.label_file import read_label_file
from atrous.data.label_tracks import ENDING, TrackMask
from atrous.data.sound import is_sound, sample_rate_of
from atrous.errors import DataError

SOUNDS, LABELS = "sounds", "labels"


def find_sound_splits(root: Path) -> tuple[str, ...]:
    """Names of the splits of the layout; none if a folder is of another."""
    return tuple(sorted(folder.name for folder in root.iterdir() if (folder / SOUNDS).is_dir()))


def open_sound_split(root: Path, split: str) -> Dataset:
    """A split of the layout; all sounds are resampled to the rate of the first.

    Raises:
        DataError: If there is no sound in it, or labels.toml is missing or wrong.
        ConfigError: If the extra audio is not installed.
    """
    folder = root / split
    paths = [path for path in sorted((folder / SOUNDS).iterdir()) if is_sound(path.name)]
    sounds = {path.stem: path for path in paths}
    if len(sounds) < len(paths):
        twice = next(path for path in paths if sounds[path.stem] != path)
        raise DataError(
            f"{twice} and {sounds[twice.stem].name} would share a label track; give one another name"
        )
    if not sounds:
        raise DataError(f"{folder / SOUNDS} holds no sounds; put files such as .wav into it")
    label_set, rate = read_label_file(root).label_set, sample_rate_of(next(iter(sounds.values())))
    pairs = (
        Pair(stem, path, TrackMask(folder / LABELS / f"{stem}{ENDING}", path, label_set, rate))
        for stem, path in sounds.items()
    )
    return Dataset(label_set, tuple(pairs))
