"""The demo's pictures: scenes and their labels, what each network sees, what each makes of them."""

from collections.abc import Mapping, Sequence

import numpy as np

from atrous.data.labels import IGNORE, Color
from atrous.data.scene_plan import CORE_LABEL, KINDS, RING_WIDTH, SIDE, Place
from atrous.data.scenes import Scenes
from atrous.figures.overlay import overlay
from atrous.figures.receptive_field import Field, Span, draw_receptive_fields, tint
from atrous.figures.report import FIRST, SECOND, picture, picture_grid
from atrous.inference.predictor import Picture, Predictor
from atrous.jobs.demo_sight import look

SHOWN = tuple(range(0, 4 * len(KINDS), len(KINDS)))  # numbers of scenes: first turn of the first four layouts
OPACITY = 0.85  # of classes
FADE = 0.5  # of the ground below them


def label_picture(image: Picture, label_map: np.ndarray, palette: Sequence[Color], alt: str) -> str:
    """All classes but the ground in color over the faded image."""
    faded = np.rint(255 - FADE * (255 - image.astype(np.float32))).astype(np.uint8)
    shown = np.where(label_map == 0, IGNORE, label_map)
    return picture(overlay(faded, shown, palette, opacity=OPACITY), alt)


def prediction_grid(scenes: Scenes, predictors: Mapping[str, Predictor], indices: Sequence[int]) -> str:
    """A row a scene: image, truth, and what each of the named networks says."""
    palette = scenes.label_set.palette
    rows = []
    for index in indices:
        sample = scenes[index]
        row = [
            picture(sample.image, f"scene {index}"),
            label_picture(sample.image, sample.labels, palette, f"truth of scene {index}"),
        ]
        for name, predictor in predictors.items():
            label_map = predictor(sample.image).label_map
            row.append(label_picture(sample.image, label_map, palette, f"scene {index}, {name}"))
        rows.append(row)
    return picture_grid(("image", "truth", *predictors), rows)


def sight_pictures(scenes: Scenes, alone: Predictor, both: Predictor) -> dict[str, str]:
    """Receptive fields to scale, and what one answer of each network hangs on, in the same scene.

    Returns:
        What the page calls `fields`, `alone_sight`, `both_sight`, `alone_extent` and `both_extent`.
    """
    index, place = _most_central_red_core(scenes)
    image = scenes[index].image
    found = {"alone": ("front end", alone, FIRST), "both": ("with context", both, SECOND)}
    parts: dict[str, str] = {}
    fields: list[Field] = []
    center = (place.row, place.column)
    for key, (name, predictor, color) in found.items():
        sight = look(predictor, image, place=(place.row, place.column), label=CORE_LABEL["red"])
        tinted = tint(image, sight.strength(), color)
        parts[f"{key}_sight"] = picture(tinted, f"where a score comes from, {name}")
        parts[f"{key}_extent"] = "{} &times; {}".format(*sight.extent)
        fields.append(Field(name, predictor.network.receptive_field, color))
        center = sight.center
    parts["fields"] = draw_receptive_fields(image, fields, center=center, spans=[_gap(place)])
    return parts


def _most_central_red_core(scenes: Scenes) -> tuple[int, Place]:
    """Number of a scene of the first layouts, and the place of its red core."""
    candidates = []
    for index in range(SHOWN[-1] + len(KINDS)):
        plan = scenes.plan(index)
        place = plan.places[plan.kinds.index("red")]
        candidates.append((float(np.hypot(place.row - SIDE / 2, place.column - SIDE / 2)), index, place))
    _, index, place = min(candidates, key=lambda candidate: candidate[0])
    return index, place


def _gap(place: Place) -> Span:
    """From the edge of a core straight down to its ring."""
    start, stop = place.core_radius, place.ring_radius - RING_WIDTH / 2
    ends = [(place.row + 0.5 + reach, place.column + 0.5) for reach in (start, stop)]
    return Span(ends[0], ends[1], f"{stop - start:.0f} px")
