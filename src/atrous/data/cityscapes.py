"""Cityscapes (Cordts et al. 2016), fine annotations: leftImg8bit/SPLIT/CITY/ and gtFine/SPLIT/CITY/."""

from pathlib import Path

from atrous.data.encoding import Encoding, IndexEncoding
from atrous.data.folder import Dataset, FileMask, Pair
from atrous.data.labels import IGNORE, LabelSet
from atrous.errors import DataError

CITYSCAPES_LABELS = LabelSet(
    (
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    ),
    (
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
)
"""The 19 classes that count in the benchmark, by trainId (cityscapesscripts/helpers/labels.py)."""

TRAIN_IDS = IndexEncoding(tuple(range(19)))
"""Masks X_gtFine_labelTrainIds.png, which the data set's own scripts make."""

_COUNTED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_NUM_IDS = 34  # 0 unlabeled to 33 bicycle; -1, license plate, is 255 in 8 bits

LABEL_IDS = IndexEncoding(
    _COUNTED, ignored=(*(number for number in range(_NUM_IDS) if number not in _COUNTED), IGNORE)
)
"""Masks X_gtFine_labelIds.png, as downloaded: ids of the 19 classes, and of 15 others that are ignored."""

CITYSCAPES_SOURCE = (
    "get leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip at https://www.cityscapes-dataset.com and "
    "unpack both into one folder, so that it holds leftImg8bit/train/CITY and gtFine/train/CITY"
)
"""Where the data come from and how they lie, for messages."""

CITYSCAPES_ABSENT = {
    "test": "its masks in gtFine/test are dummies that ignore every pixel; evaluate on val, or predict the "
    "images and send them to the benchmark's server",
    "train_extra": "it has coarse annotations only, which are not read; train on train",
}
"""Splits that the data set has and that cannot be opened, and why."""

_IMAGES, _MASKS = "leftImg8bit", "gtFine"
_IMAGE_ENDING = "_leftImg8bit.png"
_MASK_ENDINGS: dict[str, Encoding] = {
    "_gtFine_labelTrainIds.png": TRAIN_IDS,
    "_gtFine_labelIds.png": LABEL_IDS,
}


def find_cityscapes_splits(root: Path) -> tuple[str, ...]:
    """Every folder in DATA/leftImg8bit or DATA/gtFine but those of `CITYSCAPES_ABSENT`."""
    folders = [path for side in (_IMAGES, _MASKS) for path in (root / side).glob("*") if path.is_dir()]
    return tuple(sorted({path.name for path in folders} - CITYSCAPES_ABSENT.keys()))


def open_cityscapes(root: Path, split: str) -> Dataset:
    """A split of Cityscapes in its 19 classes; of two masks of an image the one of trainIds is read.

    Raises:
        DataError: If a folder is missing, or holds no files named as in the data set.
    """
    for folder in (root / _IMAGES / split, root / _MASKS / split):
        if not folder.is_dir():
            raise DataError(f"{folder} is missing; {CITYSCAPES_SOURCE}")
    cities = {path.name for side in (_IMAGES, _MASKS) for path in (root / side / split).iterdir()}
    pairs = [pair for city in sorted(cities) for pair in _pairs_of_city(root, split, city)]
    if not pairs:
        raise DataError(f"{root / _IMAGES / split} holds no CITY/*{_IMAGE_ENDING}; {CITYSCAPES_SOURCE}")
    return Dataset(CITYSCAPES_LABELS, tuple(pairs))


def _pairs_of_city(root: Path, split: str, city: str) -> list[Pair]:
    """Pairs by name; where one of the two is missing, the pair names the file that is expected."""
    images, masks = root / _IMAGES / split / city, root / _MASKS / split / city
    by_kind = [(ending, encoding, _names(masks, ending)) for ending, encoding in _MASK_ENDINGS.items()]
    pairs = []
    for name in sorted(_names(images, _IMAGE_ENDING).union(*(names for _, _, names in by_kind))):
        found = [(ending, encoding) for ending, encoding, names in by_kind if name in names]
        ending, encoding = found[0] if found else ("_gtFine_labelIds.png", LABEL_IDS)
        pairs.append(
            Pair(name, images / f"{name}{_IMAGE_ENDING}", FileMask(masks / f"{name}{ending}", encoding))
        )
    return pairs


def _names(folder: Path, ending: str) -> set[str]:
    """Names of the files of a folder that end so, without it; none where there is no folder."""
    return {path.name.removesuffix(ending) for path in folder.glob(f"*{ending}")}
