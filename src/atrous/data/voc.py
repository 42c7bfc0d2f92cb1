"""PASCAL VOC 2012 (Everingham et al.), with SBD and with COCO, as Yu & Koltun's section 4 trains on them."""

from collections.abc import Iterable
from pathlib import Path

from atrous.data.coco import find_coco_splits, open_coco_as
from atrous.data.encoding import IndexEncoding
from atrous.data.folder import Dataset, FileMask, Pair
from atrous.data.labels import LabelSet
from atrous.data.sbd import SBD_SOURCE, SbdMask, find_sbd
from atrous.errors import DataError

VOC_LABELS = LabelSet(
    (
        "background",
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
        "horse",
        "motorbike",
        "person",
        "pottedplant",
        "sheep",
        "sofa",
        "train",
        "tvmonitor",
    ),
    (
        (0, 0, 0),
        (128, 0, 0),
        (0, 128, 0),
        (128, 128, 0),
        (0, 0, 128),
        (128, 0, 128),
        (0, 128, 128),
        (128, 128, 128),
        (64, 0, 0),
        (192, 0, 0),
        (64, 128, 0),
        (192, 128, 0),
        (64, 0, 128),
        (192, 0, 128),
        (64, 128, 128),
        (192, 128, 128),
        (0, 64, 0),
        (128, 64, 0),
        (0, 192, 0),
        (128, 192, 0),
        (0, 64, 128),
    ),
)
"""Background and the 20 classes in VOC's order, in the colors of its masks (VOCdevkit's VOClabelcolormap)."""

COCO_NAMES = {
    "airplane": "aeroplane",
    "couch": "sofa",
    "dining table": "diningtable",
    "motorcycle": "motorbike",
    "potted plant": "pottedplant",
    "tv": "tvmonitor",
}
"""VOC's names of the six of its classes that COCO calls otherwise."""

VOC_SOURCE = (
    "get VOCtrainval_11-May-2012.tar at http://host.robots.ox.ac.uk/pascal/VOC/voc2012 and unpack it into "
    "DATA, so that DATA/VOCdevkit/VOC2012 holds JPEGImages, SegmentationClass and ImageSets/Segmentation"
)
"""Where the data come from and how they lie, for messages."""

_COCO_SOURCE = (
    "get images and instance annotations at https://cocodataset.org and unpack them into DATA/coco, so that "
    "it holds annotations/instances_train2017.json and train2017"
)

VOC_ABSENT = {
    "trainaug": SBD_SOURCE,
    "coco_train": _COCO_SOURCE,
    "coco_val": _COCO_SOURCE,
    "test": "its masks are not public; evaluate on val, or send predictions to VOC's server",
}
"""Splits that may be asked for where there is none, and how to get them."""

_LISTS = ("train", "trainval", "val")
_COCO_PREFIX = "coco_"
_ENCODING = IndexEncoding(tuple(range(VOC_LABELS.num_classes)))


def find_voc_splits(root: Path) -> tuple[str, ...]:
    """VOC's train, trainval and val, as far as listed; with SBD, trainaug; with COCO in DATA/coco, coco_*."""
    voc = _find_voc(root)
    if voc is None:
        return ()
    found = [name for name in _LISTS if _list(voc, name).is_file()]
    if {"train", "val"} <= set(found) and find_sbd(root) is not None:
        found.append("trainaug")
    coco = _find_coco(root)
    return tuple(
        sorted([*found, *(_COCO_PREFIX + split for split in find_coco_splits(coco))] if coco else found)
    )


def open_voc(root: Path, split: str) -> Dataset:
    """A split of VOC 2012 in its 21 classes; objects' borders (255 in the masks) are ignored.

    trainaug is the training set of Yu & Koltun 2016, section 4: see `augmented_names`. Its labels are VOC's
    for the images of VOC's train, else SBD's, which have no ignored borders.

    Splits coco_* follow the same section: COCO's images with at least one object of VOC's classes, objects of
    other classes as background. Crowds of VOC's classes are ignored and are no object; a crowd of other
    classes shows none of VOC's, so it is background.

    Raises:
        DataError: If a folder or list is missing or empty, or an image is listed twice.
    """
    if split.startswith(_COCO_PREFIX):
        coco = _find_coco(root)
        assert coco is not None
        return open_coco_as(coco, split.removeprefix(_COCO_PREFIX), label_set=VOC_LABELS, renamed=COCO_NAMES)
    voc = _find_voc(root)
    assert voc is not None
    for folder in (voc / "JPEGImages", voc / "SegmentationClass"):
        if not folder.is_dir():
            raise DataError(f"{folder} is missing; {VOC_SOURCE}")
    if split == "trainaug":
        return Dataset(VOC_LABELS, _augmented_pairs(root, voc))
    return Dataset(VOC_LABELS, tuple(_voc_pair(voc, name) for name in _read_list(_list(voc, split))))


def augmented_names(*, train: Iterable[str], val: Iterable[str], sbd: Iterable[str]) -> list[str]:
    """Images of VOC's train and of SBD's train and val, without all of VOC's val, by name: 10,582.

    SBD's own split is another one: many images of its train are in VOC's val.
    """
    return sorted({*train, *sbd}.difference(val))


def _augmented_pairs(root: Path, voc: Path) -> tuple[Pair, ...]:
    sbd = find_sbd(root)
    assert sbd is not None
    train = set(_read_list(_list(voc, "train")))
    sbd_names = [name for part in ("train", "val") for name in _read_list(sbd / f"{part}.txt")]
    names = augmented_names(train=train, val=_read_list(_list(voc, "val")), sbd=sbd_names)
    in_voc = {path.name for path in (voc / "JPEGImages").iterdir()}  # one listing, not 10,582 questions
    pairs = []
    for name in names:
        if name in train:
            pairs.append(_voc_pair(voc, name))
            continue
        images = voc / "JPEGImages" if f"{name}.jpg" in in_voc else sbd / "img"
        pairs.append(Pair(name, images / f"{name}.jpg", SbdMask(sbd / "cls" / f"{name}.mat")))
    return tuple(pairs)


def _voc_pair(voc: Path, name: str) -> Pair:
    mask = FileMask(voc / "SegmentationClass" / f"{name}.png", _ENCODING)
    return Pair(name, voc / "JPEGImages" / f"{name}.jpg", mask)


def _list(voc: Path, split: str) -> Path:
    return voc / "ImageSets" / "Segmentation" / f"{split}.txt"


def _read_list(path: Path) -> list[str]:
    """Names of the images that a file lists, one a line."""
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of images ({error}); unpack it again") from error
    if not names:
        raise DataError(f"{path} lists no images; unpack it again")
    return names


def _find_voc(root: Path) -> Path | None:
    """VOC2012 in or at DATA: the folder with a list."""
    places = (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012")
    return next((place for place in places if any(_list(place, name).is_file() for name in _LISTS)), None)


def _find_coco(root: Path) -> Path | None:
    return next((root / name for name in ("coco", "COCO") if (root / name).is_dir()), None)
