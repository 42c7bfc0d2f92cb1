"""Data sets as pairs of an image and a mask, and the layout DATA/{train,val,test}/{images,masks}/STEM.*."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from atrous.data.encoding import Encoding
from atrous.data.images import image_files, read_image
from atrous.data.label_file import read_label_file
from atrous.data.label_tracks import TrackMask
from atrous.data.labels import LabelSet
from atrous.data.sound import read_sound
from atrous.data.volume_names import is_volume
from atrous.data.volume_pair import read_intensities, refuse_other_grid
from atrous.errors import DataError


@dataclass(frozen=True, slots=True)
class Sample:
    """An image or volume and the labels of its pixels.

    Attributes:
        name: Name of the pair, without a file ending.
        image: RGB, 0-255; of a volume the intensities, x to the right, y to the front, z up; of a
            sound the samples (t,), from -1 to 1.
        labels: 0 to k-1, and 255 for ignored pixels.
        spacing: Millimeters from one voxel of a volume to the next, along each axis; empty for images.
    """

    name: str
    image: UInt8[np.ndarray, "h w 3"] | Float32[np.ndarray, "*places"]
    labels: UInt8[np.ndarray, "*spatial"]
    spacing: tuple[float, ...] = ()


@runtime_checkable
class MaskSource(Protocol):
    """Where the labels of one image come from: a mask file, or annotations that are drawn when read."""

    @property
    def path(self) -> Path:
        """File that holds the mask or its annotations, for messages."""
        ...

    def read(self) -> UInt8[np.ndarray, "*spatial"]:
        """Labels 0 to k-1, and 255 for ignored pixels; raises DataError with the file's name."""
        ...


@dataclass(frozen=True, slots=True)
class FileMask:
    """Labels stored as an image of their own."""

    path: Path
    encoding: Encoding

    def read(self) -> UInt8[np.ndarray, "h w"]:
        """Labels 0 to k-1, and 255 for ignored pixels.

        Raises:
            DataError: If the file is missing or broken, or holds what stands for no class.
        """
        return self.encoding.read(self.path)


@dataclass(frozen=True, slots=True)
class Pair:
    """An image file and the source of its labels; one of the two may be missing on disk until it is read."""

    name: str
    image_path: Path
    mask: MaskSource

    @property
    def mask_path(self) -> Path:
        """File that holds the mask or its annotations."""
        return self.mask.path


@dataclass(frozen=True, slots=True)
class Dataset:
    """One split of a data set; `dataset[i]` reads pair i from disk, from any thread or process.

    Attributes:
        label_set: The classes.
        pairs: What there is to read, in the order of the indices.

    Raises:
        DataError: If two pairs have the same name; and from `dataset[i]`, if one of its files is missing or
            broken, their sizes differ, or the mask holds what stands for no class.
    """

    label_set: LabelSet
    pairs: tuple[Pair, ...]

    def __post_init__(self) -> None:
        if len({pair.name for pair in self.pairs}) < len(self.pairs):
            name, _ = Counter(pair.name for pair in self.pairs).most_common(1)[0]
            raise DataError(
                f"two images are named {name}; names tell images apart: list each once, or rename one"
            )

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        pair = self.pairs[index]
        if not pair.image_path.is_file():
            raise DataError(
                f"{pair.mask_path} has no image: {pair.image_path} is missing; add it, or remove the mask"
            )
        if not pair.mask_path.is_file():
            raise DataError(
                f"{pair.image_path} has no mask: {pair.mask_path} is missing; add it, or remove the image"
            )
        if is_volume(pair.image_path.name):
            return _labelled_volume(pair)
        if isinstance(pair.mask, TrackMask):
            samples = read_sound(pair.image_path, sample_rate=pair.mask.sample_rate)
            return Sample(pair.name, samples, pair.mask.read())
        image, labels = read_image(pair.image_path), pair.mask.read()
        if image.shape[:2] != labels.shape:
            raise DataError(
                f"{pair.image_path} is {_size(image)} px and its mask {pair.mask_path} {_size(labels)} px "
                "(width x height); they must agree: make the mask again at the size of the image"
            )
        return Sample(pair.name, image, labels)


def _labelled_volume(pair: Pair) -> Sample:
    refuse_other_grid(pair.image_path, pair.mask_path)
    image, spacing = read_intensities(pair.image_path)
    return Sample(pair.name, image, pair.mask.read(), spacing)


def find_folder_splits(root: Path) -> tuple[str, ...]:
    """Splits of the folder layout: every DATA/SPLIT that has a folder `images` or `masks`."""
    return tuple(
        sorted(
            folder.name
            for folder in root.iterdir()
            if folder.is_dir() and ((folder / "images").is_dir() or (folder / "masks").is_dir())
        )
    )


def open_folder(root: Path, split: str) -> Dataset:
    """A split of the folder layout; its classes stand in DATA/labels.toml.

    Raises:
        DataError: If a folder is missing or empty, no names match, or labels.toml is missing or wrong.
    """
    image_folder, mask_folder = root / split / "images", root / split / "masks"
    for folder, other in ((image_folder, mask_folder), (mask_folder, image_folder)):
        if not folder.is_dir():
            raise DataError(f"{folder} is missing beside {other}; a split has both: images/ and masks/")
    label_file = read_label_file(root, mask_folder=mask_folder)
    return Dataset(label_file.label_set, pair_files(image_folder, mask_folder, label_file.mask_encoding))


def pair_files(
    image_folder: Path, mask_folder: Path, encoding: Encoding, *, ending: str = ""
) -> tuple[Pair, ...]:
    """Pairs of the images and masks whose stems agree, by name.

    Where one of the two is missing, the pair names the file that is expected, and reading it is an error.

    Args:
        image_folder: Holds the images.
        mask_folder: Holds the masks.
        encoding: How the masks store classes.
        ending: What the stem of a mask may have after the stem of its image, such as "_L".

    Raises:
        DataError: If there are no images, a stem occurs twice in a folder, or no image has a mask.
    """
    images = files_by_stem(image_folder)
    masks = files_by_stem(mask_folder, ending=ending)
    if not images:
        raise DataError(f"{image_folder} holds no images; put files such as STEM.jpg or STEM.png there")
    if not images.keys() & masks.keys():
        example = next(iter(images.values()))
        raise DataError(
            f"no file in {mask_folder} has the name of an image in {image_folder}; "
            f"the mask of {example.name} is expected as {example.stem}{ending}.png"
        )
    mask_suffix = next(iter(masks.values())).suffix
    return tuple(
        Pair(
            stem,
            images.get(stem, image_folder / f"{stem}{next(iter(images.values())).suffix}"),
            FileMask(masks.get(stem, mask_folder / f"{stem}{ending}{mask_suffix}"), encoding),
        )
        for stem in sorted(images.keys() | masks.keys())
    )


def files_by_stem(folder: Path, *, ending: str = "") -> dict[str, Path]:
    """Image files of a folder by their stem without `ending`.

    Raises:
        DataError: If two files have the same stem.
    """
    found: dict[str, Path] = {}
    for path in image_files(folder):
        stem = path.stem.removesuffix(ending)
        if stem in found:
            raise DataError(
                f"{path} and {found[stem].name} have the same stem; a stem names one file: rename one"
            )
        found[stem] = path
    return found


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"
