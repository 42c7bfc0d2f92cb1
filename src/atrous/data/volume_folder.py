"""Labelled NIfTI volumes: DATA/SPLIT/{images,masks}, and the Decathlon's DATA/{imagesTr,labelsTr}."""

import json
from pathlib import Path, PurePosixPath

from atrous.data.encoding import IndexEncoding
from atrous.data.folder import Dataset, Pair
from atrous.data.label_file import LABEL_FILE, LabelFile, read_label_file
from atrous.data.labels import BACKGROUND, IGNORE, LabelSet
from atrous.data.volume_names import is_volume, without_ending
from atrous.data.volume_pair import VolumeMask, whole_numbers
from atrous.data.volumes import intensities_of, stored_volume
from atrous.errors import DataError

TRAIN = "train"
DESCRIPTION = "dataset.json"
FOLDERS = (("imagesTr", "labelsTr"), ("images", "labels"), ("images", "masks"))
"""What the two folders of a data set without splits are called; the first two are the Decathlon's."""

_MODALITY = "_0000"  # nnU-Net's ending of an image's only channel, which its mask has not


def find_volume_splits(root: Path) -> tuple[str, ...]:
    """Splits of the layout DATA/SPLIT/{images,masks} that hold volumes."""
    return tuple(
        sorted(
            folder.name for folder in root.iterdir() if folder.is_dir() and _holds_volumes(folder / "images")
        )
    )


def open_volume_split(root: Path, split: str) -> Dataset:
    """A split of it; the classes stand in DATA/labels.toml.

    Raises:
        DataError: If a folder is missing or empty, no names match, or labels.toml is missing or wrong.
    """
    return _open(root, root / split / "images", root / split / "masks")


def find_decathlon_splits(root: Path) -> tuple[str, ...]:
    """("train",), where a folder has volumes and their labels side by side; its test volumes have none."""
    return (TRAIN,) if _decathlon_folders(root) else ()


def open_decathlon(root: Path, split: str) -> Dataset:
    """All labelled volumes. Their classes stand in dataset.json or labels.toml; else they are counted.

    Raises:
        DataError: If a folder is empty, no names match, or what names the classes is wrong.
    """
    folders = _decathlon_folders(root)
    assert folders is not None, split
    return _open(root, *folders)


def _open(root: Path, image_folder: Path, mask_folder: Path) -> Dataset:
    if not mask_folder.is_dir():
        raise DataError(f"{mask_folder} is missing beside {image_folder}; put the masks of the volumes there")
    images, masks = _volumes_by_stem(image_folder, _MODALITY), _volumes_by_stem(mask_folder)
    if not images.keys() & masks.keys():
        example = next(iter(images.values()))
        raise DataError(
            f"no file in {mask_folder} has the name of a volume in {image_folder}; the mask of "
            f"{example.name} is expected as {example.name}"
        )
    label_file = _classes(root, masks)
    encoding = label_file.mask_encoding
    if not isinstance(encoding, IndexEncoding):
        raise DataError(f'{root / LABEL_FILE} says encoding = "color", and volumes hold numbers; remove it')
    return Dataset(
        label_file.label_set,
        tuple(
            Pair(
                stem,
                images.get(stem, image_folder / f"{stem}.nii.gz"),
                VolumeMask(masks.get(stem, mask_folder / f"{stem}.nii.gz"), encoding),
            )
            for stem in sorted(images.keys() | masks.keys())
        ),
    )


def _classes(root: Path, masks: dict[str, Path]) -> LabelFile:
    """What names the classes: labels.toml, dataset.json, or the numbers that the masks hold."""
    if (root / LABEL_FILE).is_file():
        return read_label_file(root)
    if (root / DESCRIPTION).is_file():
        return _described(root / DESCRIPTION)
    return LabelFile((BACKGROUND, *LabelSet.unnamed(_highest_number(masks) + 1).names[1:]))


def _described(path: Path) -> LabelFile:
    """Names and numbers of the classes in a dataset.json: {"1": name}, or nnU-Net's {name: 1}."""
    try:
        labels = dict(json.loads(path.read_text(encoding="utf-8"))["labels"])
        turned = labels if all(str(key).isdecimal() for key in labels) else {v: k for k, v in labels.items()}
        numbers = {int(number): str(name) for number, name in turned.items()}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(
            f'{path} has no "labels" such as {{"0": "background", "1": "cell"}} ({error!r}); mend it, or '
            f"write names into {LABEL_FILE} beside it"
        ) from error
    values = tuple(sorted(numbers))
    return LabelFile(tuple(numbers[value] for value in values), values=values)


def _highest_number(masks: dict[str, Path]) -> int:
    """The highest label that is not 255; every mask is read."""
    highest = 1
    for path in masks.values():
        with stored_volume(path) as (image, stored):
            numbers = whole_numbers(intensities_of(image, stored), source=str(path))
        highest = max(highest, int(numbers[numbers != IGNORE].max(initial=0)))
    return highest


def _decathlon_folders(root: Path) -> tuple[Path, Path] | None:
    for images, masks in FOLDERS:
        if _holds_volumes(root / images) and (root / masks).is_dir():
            return root / images, root / masks
    return None


def _volumes_by_stem(folder: Path, ending: str = "") -> dict[str, Path]:
    """Volumes of a folder by their name without ending.

    Raises:
        DataError: If two have the same.
    """
    found: dict[str, Path] = {}
    for path in _volume_files(folder):
        stem = without_ending(PurePosixPath(path.name)).name.removesuffix(ending)
        if stem in found:
            raise DataError(f"{path} and {found[stem].name} have the same name; rename one")
        found[stem] = path
    return found


def _volume_files(folder: Path) -> list[Path]:
    """Volumes of a folder by name, without hidden ones, as macOS puts beside each into archives."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if is_volume(path.name) and not path.name.startswith("."))


def _holds_volumes(folder: Path) -> bool:
    return bool(_volume_files(folder))
