"""What a request of the API may ask for beside its image."""

from dataclasses import dataclass, field, fields
from typing import Any

from atrous.config import from_dict, suggestion
from atrous.errors import ConfigError
from atrous.jobs.crf_settings import CRFSettings
from atrous.web.refusals import RefusedError

FORMATS = {"png": "image/png", "json": "application/json", "overlay": "image/jpeg", "npz": "application/zip"}
VALUE_FORMATS = {"png": "image/png", "json": "application/json", "overlay": "image/jpeg", "tif": "image/tiff"}
CRF_RANGES = {
    "spatial_sigma": (0.5, 1000.0),
    "spatial_weight": (0.0, 1000.0),
    "sigma_xy": (1.0, 10_000.0),
    "sigma_rgb": (1.0, 1000.0),
    "bilateral_weight": (0.0, 1000.0),
    "num_steps": (1, 20),
}
"""Of settings of a CRF; below them each pixel is a neighborhood of its own: minutes, and gigabytes."""
LABELS = ("rle", "png", "none")
_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


@dataclass(frozen=True, slots=True)
class Options:
    """How an image is to be answered.

    Attributes:
        format: png (a palette PNG of labels, or depth in color), json, overlay (JPEG), npz (probabilities),
            tif (depth).
        labels: How labels are in JSON: rle, png or none.
        opacity: Of an overlay.
        crf: Whether to refine; what the checkpoint says unless given.
        settings: Of the CRF.
    """

    format: str = "png"
    labels: str = "rle"
    opacity: float = 0.5
    crf: bool | None = None
    settings: CRFSettings = field(default_factory=CRFSettings)


def read_options(sent: dict[str, str], formats: dict[str, str]) -> Options:
    """The options of a form's fields.

    Raises:
        RefusedError: 422 if one is unknown or has a value that means nothing.
    """
    own = ("format", "labels", "opacity", "crf")
    known = (*own, *(each.name for each in fields(CRFSettings)))
    for name in sent:
        if name not in known:
            raise RefusedError(f'there is no option "{name}"; {suggestion(name, known)}', status=422)
    settings = {name: value for name, value in sent.items() if name not in own}
    crf = _boolean(sent.get("crf"))
    if settings and crf is False:
        raise RefusedError(
            f"{next(iter(settings))} is of a CRF that is switched off; leave out one of both", status=422
        )
    return Options(
        format=_one_of("format", sent.get("format", "png"), tuple(formats)),
        labels=_one_of("labels", sent.get("labels", "rle"), LABELS),
        opacity=read_opacity(sent.get("opacity", "0.5")),
        crf=True if settings else crf,
        settings=read_settings(settings),
    )


def read_settings(sent: dict[str, Any]) -> CRFSettings:
    """Settings of a CRF of texts or numbers.

    Raises:
        RefusedError: 422 if one is no number, or beyond what is done here.
    """
    try:
        values = {name: _number(name, value) for name, value in sent.items()}
        settings = from_dict(CRFSettings, values, source="the request")
    except ConfigError as error:
        raise RefusedError(str(error), status=422) from error
    for name, (least, most) in CRF_RANGES.items():
        value = getattr(settings, name)
        if value is not None and not least <= value <= most:
            raise RefusedError(
                f"{name} {value:g} is not from {least:g} to {most:g}; choose one between", status=422
            )
    return settings


def read_opacity(text: str) -> float:
    """A number from 0 to 1.

    Raises:
        RefusedError: 422 if it is none.
    """
    opacity = _number("opacity", text)
    if not isinstance(opacity, int | float) or not 0 <= opacity <= 1:
        raise RefusedError(f"opacity {text!r} is not from 0 to 1; choose one between", status=422)
    return float(opacity)


def _number(name: str, value: Any) -> Any:
    """A number of a text, whole where a whole one is wanted; other texts as they are."""
    if name == "normalization" or not isinstance(value, str):
        return value
    try:
        return int(value) if name == "num_steps" else float(value)
    except ValueError as error:
        raise RefusedError(f"{name} {value!r} is no number; give one, such as 10", status=422) from error


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise RefusedError(f"{name} {value!r} is unknown here; take one of {', '.join(known)}", status=422)
    return value


def _boolean(text: str | None) -> bool | None:
    if text is None:
        return None
    if text.lower() not in _YES + _NO:
        raise RefusedError(f"crf {text!r} is neither true nor false; give one of them", status=422)
    return text.lower() in _YES
