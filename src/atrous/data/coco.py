"""COCO instance annotations: DATA/annotations/*SPLIT*.json and the images in DATA/SPLIT."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from atrous.config import suggestion
from atrous.data.annotations import (
    draw_polygon_,
    load_annotations,
    polygon_area,
    to_points,
    uncovered_label,
)
from atrous.data.folder import Dataset, Pair
from atrous.data.label_file import LABEL_FILE, read_class_names
from atrous.data.labels import IGNORE, LabelSet
from atrous.data.runs import decode_runs, unpack_runs
from atrous.errors import DataError

_MALFORMED = (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class CocoRegion:
    """One annotation: the label of an object and its outline as the file gives it, polygons or runs."""

    annotation_id: int
    label: int
    segmentation: Any
    is_crowd: bool


@dataclass(frozen=True, slots=True)
class CocoMask:
    """Labels drawn from COCO annotations: crowds (as ignored) lowest, then objects, the smaller the higher.

    Attributes:
        path: The JSON file.
        size: Height and width of the image, in pixels.
        regions: The annotations of the image.
        uncovered: Label of pixels that no annotation covers.
    """

    path: Path
    size: tuple[int, int]
    regions: tuple[CocoRegion, ...]
    uncovered: int

    def read(self) -> UInt8[np.ndarray, "h w"]:
        """Labels 0 to k-1, and 255 for ignored pixels.

        Raises:
            DataError: If a segmentation is neither polygons nor runs, or its runs do not fit the image.
        """
        outlined = []
        for region in self.regions:
            try:
                outlined.append((region, _outline(region.segmentation)))
            except _MALFORMED as error:
                raise self._broken(region, "a segmentation that is neither polygons nor runs") from error
        outlined.sort(
            key=lambda pair: (not pair[0].is_crowd, -pair[1].area)
        )  # equal areas keep the file's order
        labels = np.full(self.size, self.uncovered, dtype=np.uint8)
        for region, outline in outlined:
            label = IGNORE if region.is_crowd else region.label
            for polygon in outline.polygons:
                draw_polygon_(labels, polygon, label=label)
            if outline.runs:
                if sum(outline.runs) != labels.size:
                    raise self._broken(
                        region, f"runs of {sum(outline.runs)} pixels where its image has {labels.size}"
                    )
                labels[decode_runs(outline.runs, size=self.size)] = label
        return labels

    def _broken(self, region: CocoRegion, what: str) -> DataError:
        return DataError(f"{self.path}: annotation {region.annotation_id} has {what}; correct or remove it")


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
    folder, path = _find_files(root, split)
    content = load_annotations(path)
    try:
        names = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
        images = [_image(entry) for entry in content["images"]]
    except _MALFORMED as error:
        raise _foreign(path, error) from error
    if not images:
        raise DataError(f"{path} lists no images; export the annotations with their images")
    label_set = _label_set(root, path, names)
    try:
        regions = _regions(
            content, {category: label_set.names.index(name) for category, name in names.items()}
        )
    except _MALFORMED as error:
        raise _foreign(path, error) from error
    uncovered = uncovered_label(label_set)
    pairs = [
        Pair(
            file.with_suffix("").as_posix(),
            folder / file,
            CocoMask(path, size, regions.get(image, ()), uncovered),
        )
        for image, file, size in images
    ]
    return Dataset(label_set, tuple(pairs))


@dataclass(frozen=True, slots=True)
class _Outline:
    polygons: tuple[np.ndarray, ...]
    runs: tuple[int, ...]
    area: float


def _outline(segmentation: Any) -> _Outline:
    """Polygons or runs of a segmentation, checked for form."""
    if isinstance(segmentation, list):
        polygons = tuple(to_points(numbers) for numbers in segmentation)
        return _Outline(polygons, (), sum(map(polygon_area, polygons)))
    counts = segmentation["counts"]
    runs = unpack_runs(counts) if isinstance(counts, str) else tuple(int(count) for count in counts)
    if min(runs) < 0:
        raise ValueError("a run is negative")
    return _Outline((), runs, float(sum(runs[1::2])))


def _regions(content: dict[str, Any], labels: dict[int, int]) -> dict[int, tuple[CocoRegion, ...]]:
    """Annotations by the id of their image."""
    regions: dict[int, list[CocoRegion]] = defaultdict(list)
    for entry in content["annotations"]:
        category = int(entry["category_id"])
        if category not in labels:
            raise ValueError(f"an annotation is of category {category}, which is not listed")
        regions[int(entry["image_id"])].append(
            CocoRegion(
                int(entry["id"]), labels[category], entry["segmentation"], bool(entry.get("iscrowd", 0))
            )
        )
    return {image: tuple(found) for image, found in regions.items()}


def _image(entry: dict[str, Any]) -> tuple[int, Path, tuple[int, int]]:
    """Id, file, and height and width in pixels of a listed image."""
    file, size = Path(entry["file_name"]), (int(entry["height"]), int(entry["width"]))
    if not file.name or min(size) < 1:
        raise ValueError(f'image "{file}" is {size[1]} x {size[0]} px')
    return int(entry["id"]), file, size


def _foreign(path: Path, error: Exception) -> DataError:
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return DataError(
        f"{path} does not hold COCO instances ({reason}); export images, categories and annotations again"
    )


def _label_set(root: Path, path: Path, names: dict[int, str]) -> LabelSet:
    """Classes of labels.toml, which must name every category, or of the categories themselves."""
    in_order = tuple(names[category] for category in sorted(names))
    if not (root / LABEL_FILE).is_file():
        try:
            return LabelSet(in_order if "background" in in_order else ("background", *in_order))
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
    label_set = read_class_names(root)
    for name in in_order:
        if name not in label_set.names:
            hint = suggestion(name, label_set.names)
            raise DataError(f'{path} has the category "{name}", which labels.toml does not name; {hint}')
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
