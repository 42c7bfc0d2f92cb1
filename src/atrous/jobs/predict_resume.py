"""What a prediction finds in its output folder: what is done, what may be replaced, what must not be lost."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

from atrous.data.label_volume import stored_note as stored_in_volume
from atrous.data.notes import NOTE_WITHIN, read_note
from atrous.data.places import Place, existing, read_heads
from atrous.data.quantity import Quantity, quantity_of
from atrous.data.volume_names import is_volume
from atrous.errors import OutputError
from atrous.inference.label_files import stored_note as stored_in_geotiff
from atrous.inference.work import Work
from atrous.jobs.inference_settings import InferenceSettings

SAME_LABELS = {"device"}
"""Settings that change where and how fast labels are computed, not which."""


def note_on(checkpoint: Path, inference: InferenceSettings, **more: Any) -> str:
    """How results are made, in one line of JSON; results with equal notes are interchangeable.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
    """
    from atrous.inference.stored import stored_labels, weight_files

    stored_labels(checkpoint)  # refuses what is no checkpoint
    digest = _digest(weight_files(checkpoint))
    settings = {name: value for name, value in asdict(inference).items() if name not in SAME_LABELS}
    return json.dumps({"checkpoint": digest, **settings, **more}, default=str)


def stored_quantity(checkpoint: Path) -> Quantity | None:
    """What the network of a checkpoint measures; None if it gives classes.

    Raises:
        CheckpointError: If the checkpoint cannot be read, or measures what this version does not know.
    """
    from atrous.inference.stored import stored_labels

    labels = stored_labels(checkpoint)
    return quantity_of(labels) if "quantity" in labels else None


def _digest(files: Sequence[Path]) -> str:
    """Of the contents of a checkpoint, or of a graph and its weights."""
    digests = []
    for path in files:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest()[:16])
    return "+".join(digests)


def done_before(
    works: Sequence[Work], folder: Place, *, note: str, resume: bool, overwrite: bool
) -> frozenset[Place]:
    """Sources of the works that need not be done again.

    Args:
        works: All that is wanted.
        folder: In which their outputs lie.
        note: How results are made now.
        resume: Whether results count that are there already, made as the note says.
        overwrite: Whether other results may be replaced.

    Raises:
        DataError: If the folder is an address that cannot be listed.
        OutputError: If an image would be overwritten, or a result that may not be.
    """
    there = existing([place for work in works for place in work.outputs], folder)
    _refuse_inputs(works, there)
    if resume:
        return _finished(works, there, note=note, overwrite=overwrite)
    if there and not overwrite:
        first = next(place for work in works for place in work.outputs if place in there)
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise OutputError(
            f"{first}{more} would be overwritten; add --resume to go on with what is missing, --overwrite to "
            "replace them, or choose another --output"
        )
    return frozenset()


def _refuse_inputs(works: Sequence[Work], there: Collection[Place]) -> None:
    given = {_resolved(work.source) for work in works}
    for place in there:
        if _resolved(place) in given:
            raise OutputError(
                f"{place} is one of the images and would be overwritten; choose another --output"
            )


def _finished(works: Sequence[Work], there: set[Place], *, note: str, overwrite: bool) -> frozenset[Place]:
    """Sources of the works whose results are all there, made as the note says; refuses others."""
    candidates = [work for work in works if work.outputs[0] in there]
    notes = _notes([work.outputs[0] for work in candidates])
    done = set()
    for work in candidates:
        found = notes[work.outputs[0]]
        if found == note:
            done |= {work.source} if there >= set(work.outputs) else set()
        elif not overwrite:
            raise OutputError(
                f"{work.outputs[0]} {_difference(found, note)}; add --overwrite to replace what was made "
                "otherwise, or choose another --output"
            )
    return frozenset(done)


def _notes(label_maps: Sequence[Place]) -> dict[Place, str]:
    """How label maps of all kinds were made."""
    pictures = [place for place in label_maps if PurePath(place).suffix == ".png"]
    heads = zip(pictures, read_heads(pictures, NOTE_WITHIN), strict=True)
    notes: dict[Place, str] = {place: read_note(head) for place, head in heads}
    for place in label_maps:
        if place not in notes:
            read = stored_in_volume if is_volume(str(place)) else stored_in_geotiff
            notes[place] = read(Path(place))
    return notes


def _difference(found: str, wanted: str) -> str:
    """In what two notes differ, in a few words."""
    if not found:
        return "does not say how it was made"
    earlier, now = _fields(found), _fields(wanted)
    if earlier.get("checkpoint") != now["checkpoint"]:
        return "was made by another checkpoint"
    for name, value in now.items():
        if earlier.get(name) != value:
            return f"was made with {name} {json.dumps(earlier.get(name))}, and not {json.dumps(value)}"
    return "was made by another version of atrous"


def _fields(note: str) -> Mapping[str, Any]:
    try:
        fields = json.loads(note)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _resolved(place: Place) -> Place:
    return place.resolve() if isinstance(place, Path) else place
