"""KITTI with semantic labels: of Ros et al. 2015 as in the paper, or of the benchmark of 2018."""

from pathlib import Path

from atrous.data.camvid import CAMVID_RELEASED_LABELS
from atrous.data.cityscapes import CITYSCAPES_LABELS, LABEL_IDS
from atrous.data.encoding import ColorEncoding
from atrous.data.folder import Dataset, pair_files
from atrous.data.labels import LabelSet
from atrous.errors import DataError

KITTI_LABELS = LabelSet(
    (
        "Building",
        "Vegetation",
        "Sky",
        "Car",
        "Sign",
        "Road",
        "Pedestrian",
        "Fence",
        "Pole",
        "Sidewalk",
        "Cyclist",
    ),
    CAMVID_RELEASED_LABELS.palette,
)
"""The 11 classes of Ros et al. 2015 in the order of the released network.

The released datasets/kitti.json gives the colors in this order and no names; the names are those that Ros'
page gives these colors.
"""

KITTI_SOURCE = (
    "for the data of Ros et al. 2015 get KITTI_SEMANTIC from http://adas.cvc.uab.es/s2uad or "
    "https://www.germanros.net and keep its folders, so that DATA holds Training_00/RGB, Training_00/GT and "
    "Validation_07 likewise; for those of 2018 get data_semantics.zip at https://www.cvlibs.net/datasets/kitti"
    ", so that DATA holds training/image_2 and training/semantic"
)
"""Where the data come from and how they lie, for messages."""

KITTI_ABSENT = {
    "val": "Ros' data have it in Validation_07; the benchmark of 2018 has one split with masks, train",
    "test": "the paper's 46 test images, Validation_07 of Ros' data, are the split val; the benchmark of "
    "2018 keeps its test masks to itself",
}
"""Splits that may be asked for where there is none, and why."""

_ROS_FOLDERS = {"train": "Training_00", "val": "Validation_07"}
_ROS_ENCODING = ColorEncoding(
    tuple((color, label) for label, color in enumerate(KITTI_LABELS.palette)), others_ignored=True
)


def find_kitti_splits(root: Path) -> tuple[str, ...]:
    """Splits of Ros' data in DATA or DATA/KITTI_SEMANTIC, else train if DATA/training/semantic is there."""
    ros = _ros_folder(root)
    if any((ros / folder).is_dir() for folder in _ROS_FOLDERS.values()):
        return tuple(split for split, folder in _ROS_FOLDERS.items() if (ros / folder).is_dir())
    return ("train",) if (root / "training" / "semantic").is_dir() else ()


def open_kitti(root: Path, split: str) -> Dataset:
    """A split of Ros' data in their 11 classes, or of the benchmark of 2018 in Cityscapes' 19.

    Ros et al. 2015, "Vision-based offline-online perception paradigm for autonomous driving": 100 images in
    Training_00 and 46 in Validation_07, the paper's test images; here they are train and val. Their page was
    not at hand: folders (RGB, GT, equal file names) and colors are those that published code of several
    users of the archive reads, and agree in all of it. Void is black there; whether the masks hold still
    other colors could not be verified, so all that stand for no class are ignored.

    Raises:
        DataError: If a folder is missing or empty, or no names match.
    """
    ros, benchmark = _ros_folder(root) / _ROS_FOLDERS[split], root / "training"
    if ros.is_dir():
        images, masks, label_set, encoding = ros / "RGB", ros / "GT", KITTI_LABELS, _ROS_ENCODING
    else:
        images, masks = benchmark / "image_2", benchmark / "semantic"
        label_set, encoding = CITYSCAPES_LABELS, LABEL_IDS
    for needed in (images, masks):
        if not needed.is_dir():
            raise DataError(f"{needed} is missing; {KITTI_SOURCE}")
    return Dataset(label_set, pair_files(images, masks, encoding))


def _ros_folder(root: Path) -> Path:
    """DATA, or the archive's own folder in it."""
    return root / "KITTI_SEMANTIC" if (root / "KITTI_SEMANTIC").is_dir() else root
