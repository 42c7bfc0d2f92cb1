"""What is said of a labeled image to machines and to the page, ready for JSON."""

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8

from atrous.data.images import encode_label_map
from atrous.data.labels import Color, LabelSet
from atrous.data.quantity import Quantity
from atrous.figures.value_colors import color_depth, span_of
from atrous.web.labeler import Labeled

SCALE_STEPS = 32  # colors of a scale


def classes_of(label_set: LabelSet) -> list[dict[str, Any]]:
    """Number, name and color of every class."""
    return [
        {"label": label, "name": name, "color": hex_of(color)}
        for label, (name, color) in enumerate(zip(label_set.names, label_set.palette, strict=True))
    ]


def shares_of(labeled: Labeled) -> list[dict[str, Any]]:
    """The same with the pixels of each class, and their share of the image."""
    assert labeled.labels is not None
    label_set = labeled.prediction.label_set
    counts = np.bincount(labeled.labels.ravel(), minlength=label_set.num_classes).tolist()
    total = labeled.labels.size
    return [
        {**each, "pixels": counts[each["label"]], "share": round(counts[each["label"]] / total, 6)}
        for each in classes_of(label_set)
    ]


def about(labeled: Labeled, meaning: LabelSet | Quantity) -> dict[str, Any]:
    """Size, times, and what was found in how much of the image."""
    height, width = labeled.size
    told = {"height": height, "width": width, "seconds": round(labeled.seconds, 4), "crf": labeled.crf}
    if labeled.crf is not None:
        told["crf_seconds"] = round(labeled.crf_seconds, 4)
    if isinstance(meaning, LabelSet):
        return {**told, "classes": shares_of(labeled)}
    low, high = span_of(labeled.prediction.values)
    return {**told, "quantity": {"kind": meaning.kind, "unit": meaning.unit, "low": low, "high": high}}


def runs_of(labels: UInt8[np.ndarray, "h w"]) -> list[list[int]]:
    """Label and length of each run of equal pixels, row by row from the top left.

    >>> runs_of(np.array([[1, 1, 2], [2, 2, 0]], np.uint8))
    [[1, 2], [2, 3], [0, 1]]
    """
    flat = labels.ravel()
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
    lengths = np.diff(np.r_[starts, flat.size])
    return [[int(label), int(length)] for label, length in zip(flat[starts], lengths, strict=True)]


def base64_png(labels: UInt8[np.ndarray, "h w"], label_set: LabelSet) -> str:
    """The palette PNG as text."""
    return base64.b64encode(encode_label_map(labels, label_set)).decode()


def colored(labeled: Labeled) -> UInt8[np.ndarray, "h w 3"]:
    """Depth in color, near bright."""
    return color_depth(labeled.prediction.values[0])


def scale_colors() -> list[str]:
    """Colors of a scale of depth, from the nearest to the farthest."""
    steps = np.geomspace(1, 2, SCALE_STEPS, dtype=np.float32)[None]
    return [hex_of(color) for color in color_depth(steps)[0].tolist()]


def hex_of(color: Color | list[int]) -> str:
    """As a page writes colors: #rrggbb."""
    return "#" + "".join(f"{value:02x}" for value in color)


def sorted_outputs(values: Any, label_set: LabelSet) -> Iterator[dict[str, Any]]:
    """Probability of each class at a pixel, the most probable first."""
    named = classes_of(label_set)
    for label in np.argsort(-np.asarray(values), kind="stable").tolist():
        yield {**named[label], "probability": round(float(values[label]), 6)}
