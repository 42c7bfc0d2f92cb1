"""Mistakes of a data set as a whole: absent classes, duplicates, splits that do not fit together."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from atrous.data.check_files import also, names
from atrous.data.check_report import Problem
from atrous.data.check_tally import Tally
from atrous.data.label_file import LABEL_FILE

TRAIN, VAL = "train", "val"

MOSTLY = 0.5  # of the pixels of a split: so many ignored ones are seldom meant
SOME = 0.01  # of the crops: so many empty ones cost time
SHOWN = 4  # classes that a sentence names
_FOR_TRAINING = (TRAIN, "coco_")  # how splits begin that are there to learn from, as trainval and trainaug

OVERLAPPING = frozenset(
    frozenset(splits)
    for splits in (
        ("train", "trainval"),
        ("val", "trainval"),
        ("train", "trainaug"),
        ("trainval", "trainaug"),
    )
)  # by what VOC's names say; val and trainaug must not


def split_problems(found: Collection[str]) -> list[Problem]:
    """Splits that training looks for and does not find."""
    problems = []
    if TRAIN not in found:
        known = ", ".join(found)
        sentence = f'there is no split "{TRAIN}", only {known}; name the one to train on by --train-split'
        problems.append(Problem("note", "no train split", sentence))
    if VAL not in found:
        sentence = (
            f'there is no split "{VAL}", so training goes without validation; move about a tenth of the '
            f'pairs into a split "{VAL}" arranged like "{TRAIN}", or name another one by --val-split'
        )
        problems.append(Problem("note", "no val split", sentence))
    return problems


def label_set_problems(tallies: Sequence[Tally]) -> list[Problem]:
    """Splits that number their classes each in its own way, and classes that leave nothing to tell apart."""
    problems = []
    for tally in tallies[1:]:
        split, first = tallies[0].split, tallies[0].dataset.label_set.names
        other = tally.dataset.label_set.names
        if first == other:
            continue
        if len(first) != len(other):
            what = f"{split} has {len(first)} classes and {tally.split} {len(other)}"
        else:
            label = next(label for label in range(len(first)) if first[label] != other[label])
            what = f'class {label} is "{first[label]}" in {split} and "{other[label]}" in {tally.split}'
        way_out = f"give both the same categories with the same ids, or name the classes once in {LABEL_FILE}"
        problems.append(Problem("error", "label sets differ", f"{what}; {way_out}"))
    if tallies and tallies[0].dataset.label_set.num_classes == 1:
        name = tallies[0].dataset.label_set.names[0]
        sentence = (
            f'"{name}" is the only class, which leaves nothing to tell apart; name what is around it too, '
            f'as in names = ["background", "{name}"] in {LABEL_FILE}'
        )
        problems.append(Problem("error", "one class", sentence))
    return problems


def class_problems(tallies: Sequence[Tally]) -> list[Problem]:
    """Classes that train never shows; silent about splits of which not every pair was read."""
    train = next((tally for tally in tallies if tally.split == TRAIN and tally.is_whole), None)
    if train is None or not train.shown:
        return []
    class_names = train.dataset.label_set.names
    absent = frozenset(range(len(class_names))) - train.shown
    if len(train.shown) == 1 < len(class_names):
        (label,) = train.shown
        sentence = (
            f'"{class_names[label]}" is the only class that any mask of {TRAIN} shows, which leaves nothing '
            f"to learn; correct the masks, or how {LABEL_FILE} reads them"
        )
        return [Problem("error", "one class", sentence)]
    problems = []
    for tally in tallies:
        is_for_training = tally.split.startswith(_FOR_TRAINING)
        if not is_for_training and tally.dataset.label_set == train.dataset.label_set:
            shown_here = absent & tally.shown
            if shown_here:
                sentence = (
                    f"{tally.split} shows {_quoted(shown_here, class_names)}, which {TRAIN} never does, so "
                    f"nothing teaches a network what that is; move some of these images to {TRAIN}"
                )
                problems.append(Problem("error", "class missing in train", sentence))
                absent -= shown_here
    if absent:
        sentence = (
            f"{len(absent)} of {len(class_names)} classes never occur in {TRAIN} "
            f"({_quoted(absent, class_names)}), so networks will never predict them; add images that show "
            "them, or take the classes out"
        )
        problems.append(Problem("note", "class never occurs", sentence))
    return problems


def ignored_problems(tallies: Sequence[Tally], root: Path) -> list[Problem]:
    """Masks without a valid pixel, and splits with few of them."""
    problems, files = [], []
    for tally in tallies:
        if tally.is_whole and len(tally.all_ignored) == tally.num_read:
            empty = names(tally.all_ignored, root)
            sentence = (
                f"every mask of {tally.split} is ignored everywhere, from {empty[0]} on, which leaves "
                "nothing to learn from; correct the masks, or how ignored pixels are marked"
            )
            problems.append(Problem("error", "all ignored", sentence, empty))
            continue
        files += tally.all_ignored
        if tally.ignored_share >= MOSTLY:
            sentence = (
                f"{tally.ignored_share:.0%} of the pixels of {tally.split} are ignored and teach nothing; "
                'label more of them, or name a class "background" if they are one'
            )
            problems.append(Problem("note", "mostly ignored", sentence))
    if files:
        empty = names(files, root)
        sentence = (
            f"{empty[0]} is ignored everywhere and teaches nothing; label it or remove the pair{also(empty)}"
        )
        problems.append(Problem("note", "ignored mask", sentence, empty))
    return problems


def crop_problems(tallies: Sequence[Tally], root: Path) -> list[Problem]:
    """Images that a training crop does not fit into, and crops that show nothing."""
    problems = []
    for tally in tallies:
        if tally.crop_size is None:
            continue
        crop = f"crops of {tally.crop_size[1]} x {tally.crop_size[0]} px"
        if tally.below_crop:
            small = names(tally.below_crop, root)
            sentence = (
                f"{len(small)} of {tally.num_read} images of {tally.split} are smaller than {crop}: "
                f"{small[0]} is filled up by reflection with labels ignored; choose smaller crops to avoid it"
                f"{also(small)}"
            )
            problems.append(Problem("note", "image below crop", sentence, small))
        if tally.ignored_crop_share >= SOME:
            sentence = (
                f"{tally.ignored_crop_share:.1%} of the {crop} that {tally.split} yields without zoom are "
                "ignored everywhere and teach nothing; choose larger crops, or label more pixels"
            )
            problems.append(Problem("note", "ignored crop", sentence))
    return problems


def duplicate_problems(tallies: Sequence[Tally], root: Path) -> list[Problem]:
    """Images with the same decoded pixels, in different splits or in one."""
    seen: dict[bytes, dict[str, tuple[Path, bytes]]] = defaultdict(dict)  # the first of each split
    repeats: dict[tuple[str, str, bool], list[Path]] = defaultdict(list)
    for tally in tallies:
        for path, image, labels in tally.digests:
            for split, (first, first_labels) in seen[image].items():
                if frozenset((split, tally.split)) in OVERLAPPING:
                    continue
                is_contrary = split == tally.split and labels != first_labels
                repeats[split, tally.split, is_contrary] += [path, first]
            seen[image].setdefault(tally.split, (path, labels))
    return [_duplicate(key, names(paths, root)) for key, paths in repeats.items()]


def _duplicate(key: tuple[str, str, bool], files: tuple[str, ...]) -> Problem:
    """One problem of files: a repetition and what it repeats, by turns."""
    split, other, is_contrary = key
    rest = also(files[::2])
    if split != other:
        sentence = (
            f"{files[0]} in {other} has the pixels of {files[1]} in {split}, so scores on {other} flatter; "
            f"keep each image in one split{rest}"
        )
        return Problem("error", "duplicate between splits", sentence, files)
    if is_contrary:
        sentence = (
            f"{files[0]} has the pixels of {files[1]} but another mask; keep the one that is right{rest}"
        )
        return Problem("note", "duplicate with other labels", sentence, files)
    sentence = f"{files[0]} has the pixels and the mask of {files[1]}, so it counts twice; remove one{rest}"
    return Problem("note", "duplicate", sentence, files)


def _quoted(labels: Collection[int], class_names: Sequence[str]) -> str:
    """The first few of these classes by name."""
    quoted = [f'"{class_names[label]}"' for label in sorted(labels)]
    return ", ".join(quoted[:SHOWN]) + (f" and {len(quoted) - SHOWN} more" if len(quoted) > SHOWN else "")
