"""Folders of sounds: DATA/*.wav, or DATA/SPLIT/*.wav; the condition is a folder, or stands in the name.

| file                             | condition                                                       |
|----------------------------------|-----------------------------------------------------------------|
| DATA[/SPLIT]/CONDITION/STEM.wav  | the folder's name                                               |
| DATA[/SPLIT]/CONDITION_REST.wav  | what stands before the first underscore, if all names have that |
| DATA[/SPLIT]/STEM.wav            | none                                                            |

Where there are no splits, every part of "fold0of10" and "not-fold0of10" has its share of each condition.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from atrous.config import suggestion
from atrous.data.folds import Fold, parse_fold
from atrous.data.labels import LabelSet
from atrous.data.sound import is_sound, read_sound, sample_rate_of
from atrous.data.voice import Recording, Voice
from atrous.errors import DataError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class RecordingFolder:
    """One split of a folder of sounds; `dataset[i]` reads sound i, from any thread.

    Attributes:
        voice: Rate and conditions.
        paths: Of the files.
        numbers: Of their conditions; None each where there are none.

    Raises:
        DataError: From `dataset[i]`, if its file is broken.
    """

    voice: Voice
    paths: tuple[Path, ...]
    numbers: tuple[int | None, ...]

    @property
    def label_set(self) -> LabelSet:
        """That of the voice."""
        return self.voice.label_set

    def __len__(self) -> int:
        """Number of sounds."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Recording:
        """The sound of that number, 0-based."""
        path = self.paths[index]
        samples = read_sound(path, sample_rate=self.voice.sample_rate)
        return Recording(path.stem, samples, self.numbers[index])


def holds_recordings(root: Path) -> bool:
    """Whether a folder holds sounds, in splits or not."""
    return root.is_dir() and bool(recording_splits(root))


def recording_splits(root: Path) -> tuple[str, ...]:
    """Names of the splits; "train", of which folds are parts, where there are none."""
    splits = tuple(split for split in SPLITS if _sounds(root / split))
    return splits or (("train",) if _sounds(root) else ())


def open_recordings(root: Path, split: str, *, sample_rate: int | None = None) -> RecordingFolder:
    """A split of a folder of sounds, or a fold of its split train.

    Args:
        root: The folder.
        split: train, val, test, or a fold such as "not-fold0of10".
        sample_rate: Hz, to which all are resampled; that of the first file unless given.

    Raises:
        DataError: If the folder has no sounds or no such split, or conditions are found for some sounds only.
        ConfigError: If the extra audio is not installed.
    """
    if not root.is_dir():
        raise DataError(f"no folder at {root}; give a folder of sounds")
    splits = recording_splits(root)
    if not splits:
        raise DataError(f"{root} holds no sounds; put files such as .wav into it, or into {root / 'train'}")
    fold = parse_fold(split)
    wanted = "train" if fold else split
    if wanted not in splits:
        raise DataError(f'{root} has no split "{split}"; {suggestion(split, (*splits, "fold0of10"))}')
    folder = root / wanted if _sounds(root / wanted) else root
    if (folder / "sounds").is_dir() and (folder / "labels").is_dir():
        raise DataError(
            f"{folder} has sounds with labels, for a labeler; a generator learns from {folder / 'sounds'}, "
            "or leave out --task"
        )
    paths = _sounds(folder)
    names = _conditions(paths, folder)
    known = tuple(sorted(set(names) - {""}))
    voice = Voice(sample_rate or sample_rate_of(paths[0]), known)
    numbers = tuple(known.index(name) if name else None for name in names)
    dataset = RecordingFolder(voice, paths, numbers)
    return dataset if fold is None else _part(dataset, fold)


def _sounds(folder: Path) -> tuple[Path, ...]:
    """Sounds of a folder and of the folders in it, in the order of their names."""
    if not folder.is_dir():
        return ()
    inside = (*folder.glob("*"), *folder.glob("*/*"))
    return tuple(sorted(path for path in inside if is_sound(path.name) and not path.name.startswith(".")))


def _conditions(paths: tuple[Path, ...], folder: Path) -> list[str]:
    """What each sound is of; "" where nothing says it.

    Raises:
        DataError: If only some lie in folders.
    """
    nested = [path.parent != folder for path in paths]
    if all(nested):
        return [path.parent.name for path in paths]
    if any(nested):
        raise DataError(
            f"{folder} has sounds in it and in folders in it, such as {paths[nested.index(True)]}; put all "
            "into folders named after their condition, or none"
        )
    heads = [path.stem.partition("_") for path in paths]
    return (
        [head for head, _, _ in heads] if all(head and line for head, line, _ in heads) else [""] * len(paths)
    )


def _part(dataset: RecordingFolder, fold: Fold) -> RecordingFolder:
    """A part of the sounds of every condition: consecutive ones by name.

    Raises:
        DataError: If a condition has fewer sounds than there are parts.
    """
    of_each: defaultdict[int | None, list[int]] = defaultdict(list)
    for index, number in enumerate(dataset.numbers):
        of_each[number].append(index)
    held: set[int] = set()
    for number, indices in of_each.items():
        if len(indices) < fold.count:
            of = "" if number is None else f' of "{dataset.voice.conditions[number]}"'
            fewer = f"fold0of{max(2, len(indices))}"
            raise DataError(
                f"{len(indices)} sounds{of} are too few for {fold.count} folds; give more, or hold out "
                f"another part: --train-split not-{fewer} --val-split {fewer}"
            )
        first, stop = (len(indices) * place // fold.count for place in (fold.number, fold.number + 1))
        held.update(indices[first:stop])
    chosen = [index for index in range(len(dataset)) if (index in held) != fold.is_rest]
    return replace(
        dataset,
        paths=tuple(dataset.paths[index] for index in chosen),
        numbers=tuple(dataset.numbers[index] for index in chosen),
    )
