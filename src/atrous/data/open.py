"""Open a data set of any known layout by its path."""

from collections.abc import Callable
from pathlib import Path

from atrous.config import suggestion
from atrous.data.camvid import find_camvid_splits, open_camvid
from atrous.data.coco import find_coco_splits, open_coco
from atrous.data.folder import Dataset, find_folder_splits, open_folder
from atrous.data.labelme import find_labelme_splits, open_labelme
from atrous.data.lists import find_list_splits, open_lists
from atrous.data.samples import Samples
from atrous.data.scenes import NUM_LAYOUTS, PATH, Scenes
from atrous.errors import DataError

_Layout = tuple[Callable[[Path], tuple[str, ...]], Callable[[Path, str], Dataset]]

LAYOUTS: dict[str, _Layout] = {
    "folders": (find_folder_splits, open_folder),
    "CamVid": (find_camvid_splits, open_camvid),
    "lists": (find_list_splits, open_lists),
    "COCO": (find_coco_splits, open_coco),
    "LabelMe": (find_labelme_splits, open_labelme),
}
"""How to find the splits of each layout and how to open one; the first layout that has a split is taken."""


def open_dataset(path: Path, split: str) -> Samples:
    """A split of the data set at a path, whatever its layout, or of the scenes of `builtin:scenes`.

    Raises:
        DataError: If the folder is missing, empty or of no known layout, or has no such split.
    """
    if str(path) == PATH:
        return Scenes(split)
    root = Path(path)
    name = find_layout(root)
    find, open_split = LAYOUTS[name]
    known = find(root)
    if split not in known:
        raise DataError(f'{root} has no split "{split}"; {suggestion(split, known)}')
    return open_split(root, split)


def splits(path: Path) -> tuple[str, ...]:
    """Names of the splits of the data set at a path, such as ("test", "train", "val").

    Raises:
        DataError: If the folder is missing, empty or of no known layout.
    """
    if str(path) == PATH:
        return tuple(NUM_LAYOUTS)
    find, _ = LAYOUTS[find_layout(path)]
    return find(path)


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
    for name, (find, _) in LAYOUTS.items():
        if find(path):
            return name
    if (path / "images").is_dir():
        raise DataError(
            f"{path} has images but no splits; move them to {path / 'train' / 'images'} with their masks in "
            f"{path / 'train' / 'masks'}, and some of both to {path / 'val'}"
        )
    raise DataError(
        f"{path} has no known layout; arrange it as SPLIT/images with SPLIT/masks and labels.toml, SPLIT "
        "with SPLITannot or SPLIT_labels, SPLIT.txt with labels.toml, SPLIT with annotations/*SPLIT*.json, "
        "or SPLIT with LabelMe files, where SPLIT is train or val"
    )
