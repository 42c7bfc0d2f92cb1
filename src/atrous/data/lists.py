"""Lists of files: DATA/SPLIT.txt with lines `IMAGE MASK` (paths relative to DATA) and DATA/labels.toml."""

from pathlib import Path

from atrous.data.folder import Dataset, FileMask, Pair
from atrous.data.images import IMAGE_SUFFIXES
from atrous.data.label_file import read_label_file
from atrous.errors import DataError
from atrous.files import can_be_a_file


def find_list_splits(root: Path) -> tuple[str, ...]:
    """Every DATA/SPLIT.txt whose first line names an image file; a readme.txt is no list."""
    return tuple(sorted(path.stem for path in root.glob("*.txt") if _is_list(path)))


def open_lists(root: Path, split: str) -> Dataset:
    """A split given by a list of files.

    A line has two paths apart by a tab or spaces (only a tab where paths hold spaces); empty lines and
    lines that begin with # do not count.

    Raises:
        DataError: If a line has not two paths, an image is listed twice, or labels.toml is missing or wrong.
    """
    path = root / f"{split}.txt"
    lines = _lines(path)
    for number, line in lines:
        if not all(map(can_be_a_file, _paths(line))):
            raise DataError(f"{path} line {number} has what is no path ({line}); write IMAGE MASK")
    first_mask = root / _paths(lines[0][1])[-1]
    label_file = read_label_file(root, mask_folder=first_mask.parent if first_mask.is_file() else None)
    encoding = label_file.mask_encoding
    pairs = []
    for number, line in lines:
        parts = _paths(line)
        if len(parts) != 2:
            raise DataError(
                f"{path} line {number} has {len(parts)} paths ({line}); write IMAGE MASK, with a tab between "
                "if the paths hold spaces"
            )
        name = Path(parts[0]).with_suffix("").as_posix()
        pairs.append(Pair(name, root / parts[0], FileMask(root / parts[1], encoding)))
    return Dataset(label_file.label_set, tuple(pairs))


def _lines(path: Path) -> list[tuple[int, str]]:
    """Numbers and text of the lines that count."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text ({error}); write it again") from error
    numbered = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    return [(number, line) for number, line in numbered if line and not line.startswith("#")]


def _paths(line: str) -> list[str]:
    parts = line.split("\t") if "\t" in line else line.split()
    return [part.strip() for part in parts if part.strip()]


def _is_list(path: Path) -> bool:
    """Whether the first line that counts begins with an image file."""
    try:
        lines = _lines(path)
    except DataError:
        return False
    return bool(lines) and Path(_paths(lines[0][1])[0]).suffix.lower() in IMAGE_SUFFIXES
