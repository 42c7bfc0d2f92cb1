"""COCO instance annotations: DATA/annotations/*SPLIT*.json and the images in DATA/SPLIT."""

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atrous.config import suggestion
from atrous.data.annotations import load_annotations, uncovered_label
from atrous.data.coco_mask import MALFORMED, CocoMask, CocoRegion
from atrous.data.folder import Dataset, Pair
from atrous.data.label_file import LABEL_FILE, read_class_names
from atrous.data.labels import LabelSet
from atrous.errors import DataError
from atrous.files import can_be_a_file


@dataclass(frozen=True, slots=True)
class _Listing:
    """An annotation file: category names by id, and id, file, height and width of each image."""

    path: Path
    folder: Path
    names: dict[int, str]
    images: list[tuple[int, Path, tuple[int, int]]]
    annotations: Any


def find_coco_splits(root: Path) -> tuple[str, ...]:
    """Every folder DATA/SPLIT, or DATA/SPLIT2017 and the like, that an annotation file names."""
    files = [path.stem for path in (root / "annotations").glob("*.json")]
    folders = _image_folders(root)
    return tuple(sorted(split for split in folders if any(folders[split].name in file for file in files)))


def open_coco(root: Path, split: str) -> Dataset:
    """A split of COCO instance annotations.

    The classes are the names in DATA/labels.toml if there is one, else "background" and then the file's
    categories by their ids. Pixels of no object are background, or ignored where labels.toml names none.
    Images that the file does not list do not count; listed images without objects do.

    Raises:
        DataError: If the split has several files or folders, the file is broken, or a category has no class.
    """
    listing = _read(root, split)
    label_set = _label_set(root, listing)
    labels = {category: label_set.names.index(name) for category, name in listing.names.items()}
    return Dataset(label_set, _pairs(listing, _regions(listing, labels), uncovered_label(label_set)))


def open_coco_as(root: Path, split: str, *, label_set: LabelSet, renamed: dict[str, str]) -> Dataset:
    """The images of a split with at least one object of the classes of `label_set`, crowds not counted.

    Objects of other categories are drawn as background, and lie on those below them like any object. Crowds
    of other categories are left out: they show none of the classes, so what they cover stays background.

    Args:
        root: The folder DATA.
        split: Of DATA.
        label_set: Has the class "background".
        renamed: Category names to class names where the two differ.

    Raises:
        DataError: If the split has several files or folders, the file is broken, or no image shows a class.
    """
    listing = _read(root, split)
    background = uncovered_label(label_set)
    labels = dict.fromkeys(listing.names, background)
    for category, name in listing.names.items():
        if (name := renamed.get(name, name)) in label_set.names:
            labels[category] = label_set.names.index(name)
    regions = {
        image: tuple(region for region in found if region.label != background or not region.is_crowd)
        for image, found in _regions(listing, labels).items()
        if any(region.label != background and not region.is_crowd for region in found)
    }
    pairs = _pairs(
        replace(listing, images=[image for image in listing.images if image[0] in regions]),
        regions,
        background,
    )
    if not pairs:
        raise DataError(
            f"no image in {listing.path} shows an object of {', '.join(label_set.names[1:4])} and so on; use "
            "COCO's own annotations of instances"
        )
    return Dataset(label_set, pairs)


def _read(root: Path, split: str) -> _Listing:
    folder, path = _find_files(root, split)
    content = load_annotations(path)
    try:
        names = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
        images = [_image(entry) for entry in content["images"]]
        annotations = content["annotations"]
    except MALFORMED as error:
        raise _foreign(path, error) from error
    if not images:
        raise DataError(f"{path} lists no images; export the annotations with their images")
    return _Listing(path, folder, names, images, annotations)


def _regions(listing: _Listing, labels: dict[int, int]) -> dict[int, tuple[CocoRegion, ...]]:
    """Annotations by the id of their image."""
    regions: dict[int, list[CocoRegion]] = defaultdict(list)
    try:
        for entry in listing.annotations:
            category = int(entry["category_id"])
            if category not in labels:
                raise ValueError(f"an annotation is of category {category}, which is not listed")
            regions[int(entry["image_id"])].append(
                CocoRegion(
                    int(entry["id"]), labels[category], entry["segmentation"], bool(entry.get("iscrowd", 0))
                )
            )
    except MALFORMED as error:
        raise _foreign(listing.path, error) from error
    return {image: tuple(found) for image, found in regions.items()}


def _pairs(listing: _Listing, regions: dict[int, tuple[CocoRegion, ...]], uncovered: int) -> tuple[Pair, ...]:
    return tuple(
        Pair(
            file.with_suffix("").as_posix(),
            listing.folder / file,
            CocoMask(listing.path, size, regions.get(image, ()), uncovered),
        )
        for image, file, size in listing.images
    )


def _image(entry: dict[str, Any]) -> tuple[int, Path, tuple[int, int]]:
    """Id, file, and height and width in pixels of a listed image."""
    file, size = Path(entry["file_name"]), (int(entry["height"]), int(entry["width"]))
    if not file.name or not can_be_a_file(str(file)) or min(size) < 1:
        raise ValueError(f'image "{file}" is {size[1]} x {size[0]} px')
    return int(entry["id"]), file, size


def _foreign(path: Path, error: Exception) -> DataError:
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return DataError(
        f"{path} does not hold COCO instances ({reason}); export images, categories and annotations again"
    )


def _label_set(root: Path, listing: _Listing) -> LabelSet:
    """Classes of labels.toml, which must name every category, or of the categories themselves."""
    in_order = tuple(listing.names[category] for category in sorted(listing.names))
    if not (root / LABEL_FILE).is_file():
        try:
            return LabelSet(in_order if "background" in in_order else ("background", *in_order))
        except DataError as error:
            raise DataError(f"{listing.path}: {error}") from error
    label_set = read_class_names(root)
    for name in in_order:
        if name not in label_set.names:
            hint = suggestion(name, label_set.names)
            raise DataError(
                f'{listing.path} has the category "{name}", which labels.toml does not name; {hint}'
            )
    return label_set


def _find_files(root: Path, split: str) -> tuple[Path, Path]:
    """Folder of images and annotation file of a split; of several files the one of instances counts."""
    folder = _image_folders(root)[split]
    files = sorted(path for path in (root / "annotations").glob("*.json") if folder.name in path.stem)
    files = [path for path in files if path.stem.startswith("instances")] or files
    if len(files) != 1:
        listed = ", ".join(path.name for path in files)
        raise DataError(
            f"{root / 'annotations'} has {len(files)} files for {folder.name} ({listed}); keep one"
        )
    return folder, files[0]


def _image_folders(root: Path) -> dict[str, Path]:
    """Folders of images by split: `train2017` is the split train, unless another folder would be so too."""
    folders = [path for path in root.iterdir() if path.is_dir() and path.name != "annotations"]
    short = [re.sub(r"(?<=[a-z])\d{4}$", "", path.name) for path in folders]
    return {
        name if short.count(name) == 1 else path.name: path for name, path in zip(short, folders, strict=True)
    }
