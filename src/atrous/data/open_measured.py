"""Data sets of measured values: the built-in ones, and folders DATA/SPLIT/{images,depths} or with flows.

| file                              | what                                                             |
|-----------------------------------|------------------------------------------------------------------|
| DATA/SPLIT/images/STEM.*          | images; of flow, the first of each pair                          |
| DATA/SPLIT/depths/STEM.*          | 16-bit gray PNG with a scale, float TIFF, or .npy                |
| DATA/SPLIT/next_images/STEM.*     | of flow, the second of each pair                                 |
| DATA/SPLIT/flows/STEM.*           | .flo, KITTI's 16-bit PNG, or .npy                                |
| DATA/values.toml                  | scale: how much of the unit 1 is in files of integers; unit      |
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from atrous.config import load_toml, suggestion
from atrous.data import depth_scenes, flow_scenes
from atrous.data.folder import files_by_stem
from atrous.data.images import read_image
from atrous.data.labels import LabelSet
from atrous.data.measured_file import VALUE_ENDINGS, read_values
from atrous.data.quantity import DEPTH, FLOW, Measured, MeasuredSamples, Quantity
from atrous.errors import ConfigError, DataError

VALUE_FILE = "values.toml"
FOLDERS: dict[str, Quantity] = {"depths": DEPTH, "flows": FLOW}
BUILT_IN = {depth_scenes.PATH: depth_scenes, flow_scenes.PATH: flow_scenes}


@dataclass(frozen=True, slots=True)
class ValueFile:
    """The keys of values.toml.

    Attributes:
        scale: How much of the unit 1 is in files of integers, and a factor of floats; 0.001 for millimeters.
        unit: Of the scaled values; m for depth and px for flow unless given.

    Raises:
        DataError: If the scale is not positive.
    """

    scale: float | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and not 0 < self.scale < float("inf"):
            raise DataError(f"scale is {self.scale}; it must be a positive number, such as 0.001")


@dataclass(frozen=True, slots=True)
class MeasuredPair:
    """Files of one sample: its image or images, and its values; some may be missing on disk until read."""

    name: str
    image_paths: tuple[Path, ...]
    values_path: Path


@dataclass(frozen=True, slots=True)
class MeasuredFolder:
    """One split of a folder of measured values; `dataset[i]` reads sample i, from any thread or process.

    Attributes:
        quantity: What was measured.
        pairs: What there is to read, in the order of the indices.
        scale: Of values.toml.

    Raises:
        DataError: From `dataset[i]`, if one of its files is missing or broken, or their sizes differ.
    """

    quantity: Quantity
    pairs: tuple[MeasuredPair, ...]
    scale: float | None = None

    @property
    def label_set(self) -> LabelSet:
        """That of the quantity."""
        return self.quantity.label_set

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Measured:
        pair = self.pairs[index]
        for path in (*pair.image_paths, pair.values_path):
            if not path.is_file():
                raise DataError(f"{path} is missing, and the other files of {pair.name} are there; add it")
        images = [read_image(path) for path in pair.image_paths]
        values = read_values(pair.values_path, self.quantity, scale=self.scale)
        size = images[0].shape[:2]
        shapes = [*(image.shape[:2] for image in images[1:]), values.shape[1:]]
        for path, shape in zip((*pair.image_paths[1:], pair.values_path), shapes, strict=True):
            if shape != size:
                raise DataError(
                    f"{pair.image_paths[0]} is {size[1]} x {size[0]} px and {path} {shape[1]} x {shape[0]} "
                    "px (width x height); they must agree: make them at one size"
                )
        return Measured(pair.name, np.concatenate(images, axis=2), values, self.quantity)


def is_made_measured(path: Path | str | None) -> bool:
    """Whether the path stands for a built-in set of measured values."""
    return str(path) in BUILT_IN


def open_measured(path: Path, split: str) -> MeasuredSamples:
    """A split of the measured values at a path, or of a built-in set.

    Raises:
        DataError: If the folder is missing, or has no such split or no measured values; if values.toml is
            wrong.
    """
    if str(path) == depth_scenes.PATH:
        return depth_scenes.DepthScenes(split)
    if str(path) == flow_scenes.PATH:
        return flow_scenes.FlowScenes(split)
    if str(path).startswith("builtin:"):
        raise DataError(
            f"no built-in data {path} of depth or flow, as the task is; {suggestion(str(path), BUILT_IN)}"
        )
    known = measured_splits(path)
    if not known:
        raise DataError(
            f"{path} holds no measured values; put images into {path / 'train' / 'images'} and depths of the "
            f"same names into {path / 'train' / 'depths'}, or next_images and flows, and some of them into "
            f"{path / 'val'}"
        )
    if split not in known:
        raise DataError(f'{path} has no split "{split}"; {suggestion(split, known)}')
    stated = _value_file(path)
    kind = known[split]
    quantity = replace(FOLDERS[kind], unit=stated.unit or FOLDERS[kind].unit)
    return MeasuredFolder(quantity, _pairs(path / split, kind), stated.scale)


def measured_splits(path: Path) -> Mapping[str, str]:
    """Splits with measured values at a path, and the folder that holds them; none if there are no such.

    Raises:
        DataError: If a split has both depths and flows.
    """
    if str(path) in BUILT_IN:
        return dict.fromkeys(BUILT_IN[str(path)].NUM_SCENES, "")
    found = {}
    for folder in sorted(path.iterdir()) if path.is_dir() else ():
        kinds = [kind for kind in FOLDERS if (folder / kind).is_dir()]
        if len(kinds) > 1:
            raise DataError(f"{folder} has depths and flows; a network gives one: move one of them elsewhere")
        if kinds:
            found[folder.name] = kinds[0]
    return found


def holds_measured(path: Path) -> bool:
    """Whether a folder has measured values and no masks, so that nothing but a regression can be meant."""
    splits = measured_splits(path)
    return bool(splits) and not any((path / split / "masks").is_dir() for split in splits)


def _value_file(root: Path) -> ValueFile:
    place = root / VALUE_FILE
    if not place.is_file():
        return ValueFile()
    try:
        return load_toml(place, ValueFile)
    except (ConfigError, DataError) as error:
        text = str(error)
        raise DataError(text if str(place) in text else f"{place}: {text}") from error


def _pairs(folder: Path, kind: str) -> tuple[MeasuredPair, ...]:
    """Samples of a split by name: every stem that an image or values have."""
    names = ("images", "next_images") if FOLDERS[kind].num_images == 2 else ("images",)
    for name in names:
        if not (folder / name).is_dir():
            raise DataError(f"{folder / name} is missing beside {folder / kind}; put the images there")
    images = [files_by_stem(folder / name) for name in names]
    values = _values_by_stem(folder / kind, FOLDERS[kind])
    stems = sorted({*values, *(stem for files in images for stem in files)})
    if not set(values) & set(images[0]):
        raise DataError(
            f"no file in {folder / kind} has the name of an image in {folder / 'images'}; name them alike, "
            f"with an ending of {', '.join(VALUE_ENDINGS[FOLDERS[kind].kind])}"
        )
    ending = next(iter(values.values())).suffix
    return tuple(
        MeasuredPair(
            stem,
            tuple(
                files.get(stem, folder / name / f"{stem}{next(iter(images[0].values())).suffix}")
                for name, files in zip(names, images, strict=True)
            ),
            values.get(stem, folder / kind / f"{stem}{ending}"),
        )
        for stem in stems
    )


def _values_by_stem(folder: Path, quantity: Quantity) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in VALUE_ENDINGS[quantity.kind] or path.name.startswith("."):
            continue
        if path.stem in found:
            raise DataError(
                f"{path} and {found[path.stem].name} have the same stem; a stem names one file: rename one"
            )
        found[path.stem] = path
    return found
