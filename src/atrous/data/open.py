"""Open a data set of any known layout by its path; "train+val" is two splits as one."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from atrous.config import suggestion
from atrous.data.builtin import builtin_splits, is_builtin, open_builtin
from atrous.data.camvid import find_camvid_splits, open_camvid
from atrous.data.cityscapes import (
    CITYSCAPES_ABSENT,
    CITYSCAPES_SOURCE,
    find_cityscapes_splits,
    open_cityscapes,
)
from atrous.data.coco import find_coco_splits, open_coco
from atrous.data.folder import Dataset, find_folder_splits, open_folder
from atrous.data.folds import parse_fold
from atrous.data.isbi import find_isbi_splits, open_isbi
from atrous.data.kitti import KITTI_ABSENT, KITTI_SOURCE, find_kitti_splits, open_kitti
from atrous.data.labeled_sounds import find_sound_splits, open_sound_split
from atrous.data.labelme import find_labelme_splits, open_labelme
from atrous.data.labels import LabelSet
from atrous.data.lists import find_list_splits, open_lists
from atrous.data.open_measured import holds_measured, measured_splits
from atrous.data.recordings import holds_recordings
from atrous.data.samples import Samples
from atrous.data.voc import VOC_ABSENT, VOC_SOURCE, find_voc_splits, open_voc
from atrous.data.volume_folder import (
    find_decathlon_splits,
    find_volume_splits,
    open_decathlon,
    open_volume_split,
)
from atrous.errors import DataError

FOLDED = "train"
"""The split that folds are parts of."""

FEWEST_TO_FOLD = 10
"""Samples, of which a fifth is enough to judge by."""

FOLD, NOT_FOLD = "fold0of5", "not-fold0of5"
"""What is held out, and what is learned from, where a layout has no split "val" and nobody says more."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a data set lies in its folder.

    Attributes:
        find: Names of the splits in a folder; none if it is of another layout.
        open: One of these splits.
        absent: What to do about splits that may be asked for where they are not.
        is_fixed: Whether the classes are the data set's own and labels.toml is not read.
        has_volumes: Whether it holds volumes, not images.
        has_val: Whether it can have a split "val"; where not, a fold of "train" is held out.
    """

    find: Callable[[Path], tuple[str, ...]]
    open: Callable[[Path, str], Dataset]
    absent: dict[str, str] = field(default_factory=dict)
    is_fixed: bool = False
    has_val: bool = True
    has_volumes: bool = False


LAYOUTS: dict[str, Layout] = {
    "VOC": Layout(find_voc_splits, open_voc, VOC_ABSENT, is_fixed=True),
    "Cityscapes": Layout(find_cityscapes_splits, open_cityscapes, CITYSCAPES_ABSENT, is_fixed=True),
    "KITTI": Layout(find_kitti_splits, open_kitti, KITTI_ABSENT, is_fixed=True),
    "Decathlon": Layout(find_decathlon_splits, open_decathlon, has_val=False, has_volumes=True),
    "volumes": Layout(find_volume_splits, open_volume_split, has_volumes=True),
    "folders": Layout(find_folder_splits, open_folder),
    "CamVid": Layout(find_camvid_splits, open_camvid),
    "lists": Layout(find_list_splits, open_lists),
    "COCO": Layout(find_coco_splits, open_coco),
    "LabelMe": Layout(find_labelme_splits, open_labelme),
    "sounds": Layout(find_sound_splits, open_sound_split),
    "ISBI 2012": Layout(find_isbi_splits, open_isbi),
}
"""The first layout that has a split is taken, so those with names of their own come first."""

_MARKS = {
    "VOCdevkit": VOC_SOURCE,
    "JPEGImages": VOC_SOURCE,
    "benchmark_RELEASE": VOC_SOURCE,
    "leftImg8bit": CITYSCAPES_SOURCE,
    "gtFine": CITYSCAPES_SOURCE,
    "leftImg8bit_trainvaltest": CITYSCAPES_SOURCE,
    "gtFine_trainvaltest": CITYSCAPES_SOURCE,
    "training/image_2": KITTI_SOURCE,
}
"""Folders that show which data set is meant where not all of it is there, and how to complete it."""


def open_dataset(path: Path | str, split: str) -> Samples:
    """A split of the data set at a path, whatever its layout, or of `builtin:scenes` or `builtin:cues-40`.

    Splits joined by "+", as in "trainaug+coco_train", follow each other; a sample's name then begins with its
    split. "fold0of5" is the first fifth of "train" by name, "not-fold0of5" the rest.

    Raises:
        DataError: If the folder is missing, empty or of no known layout, or has no such split; if joined
            splits have different classes or an image in common.
    """
    root = Path(path)
    if holds_measured(root):
        raise DataError(
            f"{root} holds measured values and no labels; atrous train learns them with --task regression"
        )
    if is_builtin(root):
        return open_builtin(root, split)
    layout = LAYOUTS[find_layout(root)]
    parts = split_parts(split)
    refuse_absent(root, layout, parts)
    opened = [(part, open_part(root, layout, part)) for part in parts]
    return opened[0][1] if len(opened) == 1 else _joined(root, opened)


def samples_in_both(path: Path, first: str, second: str) -> int:
    """How many samples of the second split are in the first one too, by their images.

    Raises:
        DataError: As `open_dataset`.
    """
    known, judged = (open_dataset(path, split) for split in (first, second))
    if not isinstance(known, Dataset) or not isinstance(judged, Dataset):  # made, each split by itself
        return len(judged) if first == second else 0
    return len({pair.image_path for pair in known.pairs} & {pair.image_path for pair in judged.pairs})


def split_parts(split: str) -> list[str]:
    """The splits that "+" joins.

    >>> split_parts("train+val")
    ['train', 'val']
    """
    return split.split("+")


def open_part(root: Path, layout: Layout, split: str) -> Dataset:
    """One split, or a fold of the split train.

    Raises:
        DataError: As `open_dataset`.
    """
    fold = parse_fold(split)
    if fold is None:
        return layout.open(root, split)
    return fold.of(layout.open(root, FOLDED), source=f'split "{FOLDED}" of {root}')


def refuse_absent(root: Path, layout: Layout, splits: list[str]) -> None:
    """Refuse a split that is not there.

    Raises:
        DataError: With where to get it, or the splits that there are.
    """
    known = layout.find(root)
    for split in splits:
        if (FOLDED if parse_fold(split) else split) not in known:
            way_out = layout.absent.get(split) or suggestion(split, known)
            raise DataError(f'{root} has no split "{split}"; {way_out}')


def splits(path: Path) -> tuple[str, ...]:
    """Names of the splits of the data set at a path, of labels or measured values: ("test", "train", "val").

    Raises:
        DataError: If the folder is missing, empty or of no known layout.
    """
    if measured := measured_splits(path):
        return tuple(measured)
    if is_builtin(path):
        return builtin_splits(path)
    return LAYOUTS[find_layout(path)].find(path)


def holds_out_a_fold(path: Path) -> bool:
    """Whether the data set at a path has a layout without "val", and samples enough to hold some out."""
    layout = LAYOUTS[find_layout(path)]
    return not layout.has_val and len(layout.open(path, FOLDED).pairs) >= FEWEST_TO_FOLD


def holds_only_recordings(path: Path) -> bool:
    """Whether a folder holds sounds for a generator, and no data set of labels or measured values."""
    if not path.is_dir() or holds_measured(path) or any(layout.find(path) for layout in LAYOUTS.values()):
        return False
    return holds_recordings(path)


def find_layout(path: Path) -> str:
    """Name of the layout of the data set at a path: a key of `LAYOUTS`.

    Raises:
        DataError: If the folder is missing, empty or of no known layout.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; give the folder that holds the data set")
    if not path.is_dir():
        raise DataError(f"{path} is a file; give the folder that holds the data set")
    if not any(path.iterdir()):
        raise DataError(f"{path} is empty; give the folder that holds the data set")
    for name, layout in LAYOUTS.items():
        if layout.find(path):
            return name
    for mark, source in _MARKS.items():
        if (path / mark).is_dir():
            raise DataError(f"{path} has {mark}, but not all of the data set that has it; {source}")
    if (path / "images").is_dir():
        raise DataError(
            f"{path} has images but no splits; move them to {path / 'train' / 'images'} with their masks in "
            f"{path / 'train' / 'masks'}, and some of both to {path / 'val'}"
        )
    if holds_recordings(path):
        raise DataError(
            f"{path} holds sounds without labels, for a generator (atrous train); labels at every sample "
            "need SPLIT/sounds with label tracks in SPLIT/labels and labels.toml"
        )
    raise DataError(
        f"{path} has no known layout; arrange it as SPLIT/images with SPLIT/masks and labels.toml, SPLIT "
        "with SPLITannot or SPLIT_labels, SPLIT.txt with labels.toml, SPLIT with annotations/*SPLIT*.json, "
        "or SPLIT with LabelMe files, where SPLIT is train or val; sounds as SPLIT/CONDITION/*.wav; VOC, "
        "Cityscapes, KITTI and imagesTr with labelsTr stay as unpacked"
    )


def _joined(root: Path, opened: list[tuple[str, Dataset]]) -> Dataset:
    first, label_set = opened[0][0], opened[0][1].label_set
    for part, dataset in opened:
        if dataset.label_set != label_set:
            raise DataError(
                f'{root}: the splits "{first}" ({_classes(label_set)}) and "{part}" '
                f"({_classes(dataset.label_set)}) have different classes; join splits of the same classes"
            )
    pairs = tuple(
        replace(pair, name=f"{part}/{pair.name}") for part, dataset in opened for pair in dataset.pairs
    )
    (image, count), *_ = Counter(pair.image_path for pair in pairs).most_common(1)
    if count > 1:
        joined = "+".join(part for part, _ in opened)
        raise DataError(f'"{joined}" has {image} twice; join splits that have no image in common')
    return Dataset(label_set, pairs)


def _classes(label_set: LabelSet) -> str:
    return f"{label_set.num_classes}: {', '.join(label_set.names[:4])}, ..."
