"""The HTTP API for machines: /predict, /labels, /health; docs/serving.md describes it."""

import asyncio
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from atrous import __version__
from atrous.data.images import encode_image, encode_label_map
from atrous.data.labels import LabelSet
from atrous.data.measured_file import encode_depth
from atrous.data.score_file import encode_probabilities
from atrous.figures.overlay import overlay
from atrous.web.answers import about, base64_png, classes_of, colored, runs_of
from atrous.web.app import Service, error_of
from atrous.web.form import Form, read_form
from atrous.web.labeler import Labeled
from atrous.web.options import FORMATS, VALUE_FORMATS, Options, read_options
from atrous.web.refusals import RefusedError

SLOW = 60.0  # seconds that an upload may take
METHODS_KNOWN = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
METHODS = {"/predict": "POST", "/health": "GET", "/labels": "GET"}


def add_api(app: FastAPI, service: Service) -> None:
    """Add the three addresses; changes the app."""

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        with service.line.place():
            form = await received(request, service)
            options = read_options(form.fields, formats_of(service))
            return await service.line.do(
                lambda: _answer(service, form, options), is_gone=request.is_disconnected
            )

    @app.api_route("/health", methods=["GET", "HEAD"])
    async def health() -> Response:
        return JSONResponse(
            {
                "ok": True,
                "version": __version__,
                "network": service.labeler.network,
                "classes": service.labeler.predictor.label_set.num_classes,
                "queue": service.line.length,
                "queue_limit": service.line.concurrency + service.line.waiting,
                "answered": service.line.num_done,
                "results": len(service.results),
            }
        )

    @app.api_route("/labels", methods=["GET", "HEAD"])
    async def labels() -> Response:
        meaning = service.labeler.meaning
        if isinstance(meaning, LabelSet):
            return JSONResponse({"network": service.labeler.network, "classes": classes_of(meaning)})
        quantity = {"kind": meaning.kind, "unit": meaning.unit, "channels": list(meaning.channels)}
        return JSONResponse({"network": service.labeler.network, "quantity": quantity})

    for path, method in METHODS.items():
        _refuse_others(app, path, method)


def formats_of(service: Service) -> dict[str, str]:
    """What an image can become here, and its content type."""
    return FORMATS if service.labeler.predictor.quantity is None else VALUE_FORMATS


async def received(request: Request, service: Service) -> Form:
    """The form of a request, with an image of a size that is taken.

    Raises:
        RefusedError: As `read_form`, and 408 if it takes too long.
    """
    try:
        async with asyncio.timeout(SLOW):
            form = await read_form(request, max_upload=service.limits.max_upload)
    except TimeoutError as error:
        raise RefusedError(
            f"the upload took longer than {SLOW:.0f} s; send a smaller one", status=408
        ) from error
    service.limits.refuse_upload(form.data, name=form.name)
    return form


def _answer(service: Service, form: Form, options: Options) -> Response:
    """Decode, label, refine if wanted, and encode; in a worker."""
    labeler = service.labeler
    labeled = labeler.label(form.data, name=form.name)
    if labeler.stored_crf is not None if options.crf is None else options.crf:
        labeled = labeler.refine(labeled, options.settings)
    if options.format == "json":
        return JSONResponse(_as_json(service, labeled, options.labels))
    content = encode(labeled, options.format, opacity=options.opacity)
    return Response(bytes(content), media_type=formats_of(service)[options.format])


def _as_json(service: Service, labeled: Labeled, form: str) -> dict[str, Any]:
    told = {"network": service.labeler.network, **about(labeled, service.labeler.meaning)}
    if labeled.labels is None or form == "none":
        return told
    if form == "png":
        return {**told, "labels": {"png": base64_png(labeled.labels, labeled.prediction.label_set)}}
    return {**told, "labels": {"rle": runs_of(labeled.labels)}}


def encode(
    labeled: Labeled, form: str, *, opacity: float, hidden: frozenset[int] = frozenset()
) -> memoryview:
    """A result as a file of the formats in `options`.

    Args:
        labeled: The result.
        form: The format.
        opacity: Of an overlay.
        hidden: Classes that an overlay leaves out.
    """
    image, label_set = labeled.prediction.image, labeled.prediction.label_set
    if labeled.labels is None:
        if form == "tif":
            quantity = labeled.prediction.quantity
            return encode_depth(labeled.prediction.values, unit="" if quantity is None else quantity.unit)
        colors = colored(labeled)
        if form == "png":
            return encode_image(colors)
        mixed = (1 - opacity) * image + opacity * colors
        return encode_image(mixed.round().astype("uint8"), as_jpeg=True)
    if form == "png":
        return encode_label_map(labeled.labels, label_set)
    if form == "npz":
        return encode_probabilities(labeled.probabilities())
    shown = labeled.labels.copy()
    for label in hidden:
        shown[shown == label] = 255
    return encode_image(overlay(image, shown, label_set.palette, opacity=opacity), as_jpeg=True)


def _refuse_others(app: FastAPI, path: str, method: str) -> None:
    """Say which method an address takes; the page behind all others would answer in its own way."""
    taken = ("GET", "HEAD") if method == "GET" else (method,)

    @app.api_route(path, methods=[each for each in METHODS_KNOWN if each not in taken])
    async def other() -> Response:
        return error_of(f"{path} takes {method}", status=405, headers={"Allow": ", ".join(taken)})
