"""The ISBI 2012 challenge (Arganda-Carreras et al. 2015): numbered slices of one volume, cells and membranes.

DATA/images/N.* and DATA/labels/N.*, as the challenge's two stacks are commonly unpacked. There are no splits
in it: neighboring slices look alike, so the last ones, all together, are held out.
"""

from pathlib import Path

from atrous.data.encoding import IndexEncoding
from atrous.data.folder import Dataset, Pair, pair_files
from atrous.data.images import image_files
from atrous.data.label_file import LABEL_FILE, read_label_file
from atrous.data.labels import LabelSet

ISBI_LABELS = LabelSet(("membrane", "cell"), ((40, 40, 60), (230, 220, 190)))
_STORED = (0, 255)  # in the masks, in the order of the names
_HELD_OUT = 6  # one slice in so many, rounded up: 20-23 of 0-23
_IMAGES, _MASKS = "images", "labels"


def find_isbi_splits(root: Path) -> tuple[str, ...]:
    """Train and val, where DATA/images and DATA/labels hold files named by numbers."""
    folders = [root / name for name in (_IMAGES, _MASKS)]
    if not all(folder.is_dir() and _are_numbered(folder) for folder in folders):
        return ()
    return ("train", "val")


def open_isbi(root: Path, split: str) -> Dataset:
    """The first slices by number, or the last sixth; other classes than the challenge's by labels.toml.

    Raises:
        DataError: If no names match, or labels.toml is wrong.
    """
    label_set, encoding = ISBI_LABELS, IndexEncoding(_STORED, ignored=())
    if (root / LABEL_FILE).is_file():
        label_file = read_label_file(root)
        label_set, encoding = label_file.label_set, label_file.mask_encoding
    pairs = sorted(pair_files(root / _IMAGES, root / _MASKS, encoding), key=_number)
    border = len(pairs) - -(-len(pairs) // _HELD_OUT)
    return Dataset(label_set, tuple(pairs[:border] if split == "train" else pairs[border:]))


def _are_numbered(folder: Path) -> bool:
    files = image_files(folder)
    return bool(files) and all(path.stem.isdecimal() for path in files)


def _number(pair: Pair) -> int:
    return int(pair.name)
