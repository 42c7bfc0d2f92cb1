"""The demo's pictures: a scene and its labels, what each network sees in it, what each makes of it."""

from collections.abc import Mapping, Sequence

import numpy as np

from atrous.data.labels import IGNORE, Color
from atrous.data.scene_plan import CORE_LABEL, KINDS, RING_WIDTH, SIDE, Place
from atrous.data.scenes import Scenes
from atrous.figures.overlay import overlay
from atrous.figures.receptive_field import Field, Span, draw_receptive_fields, tint
from atrous.figures.report import FIRST, SECOND, columns, figure_html, picture, picture_grid
from atrous.inference.predictor import Picture, Predictor
from atrous.jobs.demo_sight import look

NUM_PICTURES = 4  # held-out layouts that are shown
OPACITY = 0.85  # of classes
FADE = 0.5  # of the ground below them


def label_picture(image: Picture, label_map: np.ndarray, palette: Sequence[Color], alt: str) -> str:
    """All classes but the ground in color over the faded image."""
    faded = np.rint(255 - FADE * (255 - image.astype(np.float32))).astype(np.uint8)
    shown = np.where(label_map == 0, IGNORE, label_map)
    return picture(overlay(faded, shown, palette, opacity=OPACITY), alt)


def shown_scenes() -> tuple[int, ...]:
    """Numbers of the scenes that are shown: the first turn of the first layouts."""
    return tuple(range(0, NUM_PICTURES * len(KINDS), len(KINDS)))


def prediction_grid(scenes: Scenes, predictors: Mapping[str, Predictor], indices: Sequence[int]) -> str:
    """A row a scene: image, truth, and what each network says."""
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
            row.append(label_picture(sample.image, label_map, palette, f"scene {index} by the {name}"))
        rows.append(row)
    return picture_grid(("image", "truth", *predictors), rows)


def sight_columns(scenes: Scenes, alone: Predictor, both: Predictor) -> str:
    """Both receptive fields to scale, and what one answer of each network hangs on, in the same scene."""
    index, place = _most_central_red_core(scenes)
    image, label = scenes[index].image, CORE_LABEL["red"]
    sights = [
        look(predictor, image, place=(place.row, place.column), label=label) for predictor in (alone, both)
    ]
    fields = [
        Field("front end", alone.network.receptive_field, FIRST),
        Field("with context", both.network.receptive_field, SECOND),
    ]
    drawing = draw_receptive_fields(image, fields, center=sights[0].center, spans=[_gap(place)])
    parts = [
        figure_html(
            drawing,
            f"What a cell in the middle of a core sees, to scale. The front end&rsquo;s "
            f"{fields[0].size}&nbsp;px end within the ring; with context, {fields[1].size}&nbsp;px reach beyond "
            f"the scene of {SIDE}&nbsp;px.",
        )
    ]
    for field, sight in zip(fields, sights, strict=True):
        height, width = sight.extent
        alt = f"gradient of one logit, {field.name}"
        parts.append(
            figure_html(
                picture(tint(image, sight.strength(), field.color), alt),
                f"<strong>{field.name[0].upper()}{field.name[1:]}.</strong> The gradient of that cell&rsquo;s score "
                f"&ldquo;core in red&rdquo; with respect to every pixel: what the answer hangs on, measured. It is "
                f"zero outside of {height}&nbsp;&times;&nbsp;{width}&nbsp;px.",
            )
        )
    return columns(parts)


def _most_central_red_core(scenes: Scenes) -> tuple[int, Place]:
    """Number of a shown scene, and the place of its red core."""
    candidates = []
    for index in range(NUM_PICTURES * len(KINDS)):
        plan = scenes.plan(index)
        place = plan.places[plan.kinds.index("red")]
        candidates.append((np.hypot(place.row - SIDE / 2, place.column - SIDE / 2), index, place))
    return min(candidates)[1:]


def _gap(place: Place) -> Span:
    """From the edge of a core to its ring, towards the middle of the scene."""
    down, across = SIDE / 2 - place.row, SIDE / 2 - place.column
    length = max(float(np.hypot(down, across)), 1e-6)
    start, stop = place.core_radius, place.ring_radius - RING_WIDTH / 2
    ends = [
        (place.row + 0.5 + reach * down / length, place.column + 0.5 + reach * across / length)
        for reach in (start, stop)
    ]
    return Span(ends[0], ends[1], f"{stop - start:.0f} px")
