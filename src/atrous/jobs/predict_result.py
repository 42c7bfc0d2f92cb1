"""What a prediction leaves behind besides its results: a summary, and a file of what failed."""

import json
import time
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from atrous.data.places import Place, join, remove_at, write_text_at
from atrous.jobs.crf_settings import describe

FAILURES = "failures.jsonl"
_RESULTS = {  # what a result is called, and how its file ends
    "": ("label map", (".png", ".tif", ".gz")),
    "depth": ("depth map", (".tif",)),
    "flow": ("flow field", (".flo",)),
    "sound": ("label track", (".txt",)),
}
NAMED = 5  # failed files named in the table
SAVE_EVERY = 1.0  # s, at most: a set of nothing but broken files must not write a file for each


@dataclass(frozen=True, slots=True)
class PredictResult:
    """What became of the images.

    Attributes:
        written: Files, in the order of the images.
        failed: Images without results, and why.
        skipped: Images whose results were there already.
        crf: Settings of the one that was applied, if any.
        engine: What computed, in words; empty where nothing was left to do, or workers did it.
        kind: depth or flow, where that was measured; sound where that was labeled; empty of images' labels.
    """

    written: tuple[Place, ...]
    failed: dict[str, str] = field(default_factory=dict)
    skipped: tuple[Place, ...] = ()
    crf: dict[str, Any] | None = None
    engine: str = ""
    kind: str = ""

    @property
    def exit_code(self) -> int:
        """1 if an image failed."""
        return 1 if self.failed else 0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "written": [str(path) for path in self.written],
            "failed": self.failed,
            "skipped": [str(path) for path in self.skipped],
            "crf": self.crf,
            "engine": self.engine,
        }

    def to_table(self) -> str:
        """How many, where, and what failed."""
        name, endings = _RESULTS[self.kind]
        maps = [path for path in self.written if PurePath(path).suffix in endings]
        lines = [f"{_count(maps, name)} written"]
        if maps:
            lines[0] += f", the first is {maps[0]}"
        item = "sound" if self.kind == "sound" else "image"
        if self.skipped:
            lines.append(f"{_count(self.skipped, item)} done before")
        if self.crf is not None:
            lines.append(f"refined by a CRF: {describe(self.crf)}")
        if self.failed:
            lines.append(f"{_count(self.failed, item)} failed:")
            lines += [f"  {reason}" for reason in list(self.failed.values())[:NAMED]]
        return "\n".join(lines)


@dataclass(slots=True)
class Failures:
    """The images that failed, kept in `failures.jsonl` of the output folder as long as there are any.

    Attributes:
        folder: The output folder.
        errors: Why, by image.
    """

    folder: Place
    errors: dict[str, str] = field(default_factory=dict)
    _saved: float = -SAVE_EVERY

    def add(self, image: Place, error: str) -> None:
        """Note a failure; the file follows within a second or with `save`.

        Raises:
            OutputError: If the file cannot be written.
        """
        self.errors[str(image)] = error
        if time.monotonic() - self._saved >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Make the file say what failed in this run; without failures there is none.

        Raises:
            OutputError: If the file cannot be written.
        """
        place = join(self.folder, FAILURES)
        if self.errors:
            lines = (json.dumps({"image": name, "error": why}) for name, why in self.errors.items())
            write_text_at(place, "".join(f"{line}\n" for line in lines))
        else:
            remove_at(place)
        self._saved = time.monotonic()


def _count(things: Any, name: str) -> str:
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"
