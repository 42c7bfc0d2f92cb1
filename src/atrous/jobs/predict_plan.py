"""Which images a prediction is asked for, and what the results are called."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from atrous.data.bucket import find_files
from atrous.data.images import IMAGE_SUFFIXES
from atrous.data.places import Place, join, place_of, with_ending
from atrous.data.sound import ENDINGS as SOUND_ENDINGS
from atrous.data.sound import is_sound
from atrous.data.volume_names import VOLUME_ENDINGS, is_volume, without_ending
from atrous.errors import DataError


@dataclass(frozen=True, slots=True)
class Plan:
    """One image and the files it becomes; `stem` is a place without ending."""

    image: Place
    stem: Place

    def label_map(self, ending: str = ".png") -> Place:
        """Palette PNG, or what else the labels of such an input are written as."""
        return with_ending(self.stem, ending)

    @property
    def overlay(self) -> Place:
        """JPEG."""
        return with_ending(self.stem, ".overlay.jpg")

    @property
    def probabilities(self) -> Place:
        """Npz of scores."""
        return with_ending(self.stem, ".npz")


def plan_outputs(patterns: tuple[str, ...], output: Place) -> tuple[Plan, ...]:
    """Every image that the patterns name, once, and where its results go.

    Of folders and globs, files in the output folder do not count.

    An image of a folder keeps its place below it. Two images that differ only in their ending (a.jpg, a.png)
    keep it in the names of their results (a.jpg.png, a.png.png).

    Raises:
        ConfigError: If the backend of a URL is not installed, or unknown.
        DataError: If a pattern names nothing that is there, all lies in the output folder, or two images
            would have the same results.
    """
    relative = {
        image: name
        for pattern in map(place_of, patterns)
        for image, name in _expand(pattern)
        if image == pattern or not _is_below(image, output)  # not what we wrote
    }
    stems = Counter(map(without_ending, relative.values()))
    plans: dict[Place, Plan] = {}
    for image, name in relative.items():
        stem = join(output, str(name if stems[without_ending(name)] > 1 else without_ending(name)))
        if stem in plans:
            raise DataError(
                f"{plans[stem].image} and {image} would have the same results; give the folder above both, "
                "or each an --output of its own"
            )
        plans[stem] = Plan(image, stem)
    if not plans:
        raise DataError(
            f"all images lie in {output}, and what is there counts as results; choose another --output"
        )
    return tuple(plans.values())


def _expand(pattern: Place) -> Iterator[tuple[Place, PurePosixPath]]:
    """Images that a file name, folder, glob or URL stands for, each with its name in the output."""
    if isinstance(pattern, str):
        yield from _expand_url(pattern)
    elif pattern.is_dir():
        found = sorted(path for path in _files_below(pattern) if _is_image(path.name))
        if not found:
            raise _no_image(pattern)
        yield from ((path, PurePosixPath(path.relative_to(pattern))) for path in found)
    elif pattern.is_file():
        yield pattern, PurePosixPath(pattern.name)
    else:
        matches = sorted(Path(pattern.anchor).glob(str(pattern).removeprefix(pattern.anchor)))
        if not matches:
            raise DataError(f"no file, folder or glob {pattern}; check the path")
        for match in matches:
            yield from _expand(match)


def _files_below(folder: Path) -> Iterator[Path]:
    """Files of a folder and all folders inside, linked ones too, each once; no pipes or devices."""
    seen: set[Path] = set()
    for top, folders, names in os.walk(folder, followlinks=True):
        place = Path(top).resolve()
        if place in seen:
            folders.clear()  # a link back up
            continue
        seen.add(place)
        yield from (path for name in names if (path := Path(top, name)).is_file())


def _expand_url(url: str) -> Iterator[tuple[str, PurePosixPath]]:
    files = find_files(url)
    if not files:
        raise DataError(f"nothing is at {url}; check the address")
    images = [(file, PurePosixPath(name)) for file, name in files if file == url or _is_image(name)]
    if not images:
        raise _no_image(url)
    yield from images


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    is_known = path.suffix.lower() in IMAGE_SUFFIXES or is_volume(path.name) or is_sound(path.name)
    return is_known and not path.name.startswith(".")


def _no_image(place: Place) -> DataError:
    return DataError(
        f"no image in {place}; images end in {', '.join(sorted(IMAGE_SUFFIXES))}, volumes in "
        f"{', '.join(VOLUME_ENDINGS)}, sounds in {', '.join(SOUND_ENDINGS)}"
    )


def _is_below(image: Place, folder: Place) -> bool:
    if isinstance(image, Path) and isinstance(folder, Path):
        return folder.resolve() in image.resolve().parents
    return str(image).startswith(f"{folder}/")
