"""What the page asks while somebody looks at an image: its labels, a pixel, the CRF, files to keep."""

import base64
import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from atrous.data.images import encode_image
from atrous.web.answers import about, colored, sorted_outputs
from atrous.web.api import encode, formats_of, received
from atrous.web.app import Service
from atrous.web.labeler import Labeled
from atrous.web.options import read_opacity, read_settings
from atrous.web.refusals import RefusedError
from atrous.web.sight_layer import heat_of

SHARP = 1_000_000  # pixels up to which the page gets an image without loss
HERE = Path(__file__).parent
ASSETS = {"labeler.js": "text/javascript", "viewer.js": "text/javascript", "page.css": "text/css"}
FILES = {
    "mask.png": "png",
    "overlay.jpg": "overlay",
    "probabilities.npz": "npz",
    "depth.png": "png",
    "depth.tif": "tif",
}


def add_view(app: FastAPI, service: Service) -> None:
    """Add the addresses below /view; changes the app."""
    _add_assets(app, service)
    _add_labeling(app, service)
    _add_results(app, service)
    _add_changes(app, service)


def _add_assets(app: FastAPI, service: Service) -> None:
    @app.get("/view/assets/{name}")
    async def asset(name: str) -> Response:
        if name not in ASSETS:
            raise RefusedError(f"there is no file {name} here", status=404)
        return Response((HERE / name).read_bytes(), media_type=ASSETS[name])

    @app.get("/view/examples/{number}.png")
    async def example(number: int) -> Response:
        return Response(_example(service, number).png, media_type="image/png")


def _add_labeling(app: FastAPI, service: Service) -> None:
    @app.post("/view/label")
    async def label(request: Request) -> Response:
        with service.line.place():
            form = await received(request, service)
            work = partial(
                _label, service, lambda: service.labeler.label(form.data, name=form.name), _session(request)
            )
            return await service.line.do(work, is_gone=request.is_disconnected)

    @app.post("/view/examples/{number}")
    async def label_example(request: Request, number: int) -> Response:
        chosen = _example(service, number)
        work = partial(_label, service, lambda: service.labeler.label_pixels(chosen.image), _session(request))
        return await _in_line(service, request, work)

    @app.post("/view/close")
    async def close(session: str) -> Response:
        service.results.forget(session)
        return Response(status_code=204)


def _add_results(app: FastAPI, service: Service) -> None:
    @app.get("/view/{identity}/image")
    async def image(request: Request, identity: str) -> Response:
        labeled = service.results.find(identity)
        return await _in_line(service, request, lambda: _picture(labeled.prediction.image))

    @app.get("/view/{identity}/labels")
    async def labels(identity: str) -> Response:
        labeled = service.results.find(identity)
        if labeled.labels is None:
            return _picture(colored(labeled))
        content = gzip.compress(labeled.labels.tobytes(), compresslevel=1)
        return Response(content, headers={"Content-Encoding": "gzip"}, media_type="application/octet-stream")

    @app.get("/view/{identity}/pixel")
    async def pixel(identity: str, x: int, y: int) -> Response:
        labeled = service.results.find(identity)
        _refuse_outside(labeled, x, y)
        return JSONResponse(_pixel(service, labeled, x, y))

    @app.get("/view/{identity}/heat")
    async def heat(request: Request, identity: str, x: int, y: int, channel: int = 0) -> Response:
        labeled = service.results.find(identity)
        _refuse_outside(labeled, x, y)
        if not 0 <= channel < service.labeler.predictor.network.num_classes:
            raise RefusedError(f"there is no class {channel}", status=422)
        work = partial(_heat, service, labeled, x, y, channel)
        return await _in_line(service, request, work)


def _add_changes(app: FastAPI, service: Service) -> None:
    @app.post("/view/{identity}/crf")
    async def crf(request: Request, identity: str) -> Response:
        labeled = service.results.find(identity)
        sent = await _read_json(request)
        is_on = sent.pop("on", True)
        settings = read_settings(sent)

        def work() -> Response:
            changed = service.labeler.refine(labeled, settings) if is_on else service.labeler.plain(labeled)
            service.results.change(identity, changed)
            return JSONResponse(about(changed, service.labeler.meaning))

        return await _in_line(service, request, work)

    @app.get("/view/{identity}/files/{name}")
    async def file(
        request: Request, identity: str, name: str, opacity: str = "0.5", hidden: str = ""
    ) -> Response:
        labeled = service.results.find(identity)
        form = FILES.get(name, "")
        if form not in formats_of(service):
            raise RefusedError(f"there is no file {name} of this network's results", status=404)
        left_out = frozenset(int(word) for word in hidden.split(",") if word.isdecimal())
        work = partial(encode, labeled, form, opacity=read_opacity(opacity), hidden=left_out)
        content = await _in_line(service, request, work)
        headers = {"Content-Disposition": "attachment"}  # the page names it after the image
        return Response(bytes(content), headers=headers, media_type=formats_of(service)[form])


async def _in_line(service: Service, request: Request, work: Callable[[], Any]) -> Any:
    with service.line.place():
        return await service.line.do(work, is_gone=request.is_disconnected)


def _label(service: Service, work: Callable[[], Labeled], session: str) -> Response:
    """Label, keep, and say what the page shows first."""
    labeled = work()
    identity = service.results.keep(session, labeled)
    told = about(labeled, service.labeler.meaning)
    return JSONResponse({"id": identity, "engine": service.labeler.predictor.engine.description, **told})


def _pixel(service: Service, labeled: Labeled, x: int, y: int) -> dict[str, Any]:
    """What is said at a pixel, and the box that this was read from."""
    cell = service.looker.cell(labeled, y, x)
    box = service.looker.box(cell)
    told: dict[str, Any] = {"x": x, "y": y, "cell": list(cell), "box": None}
    if box is not None:
        (top, bottom), (left, right) = box
        y_zoom, x_zoom = labeled.prediction.zoom
        told["box"] = {
            "top": round(top * y_zoom),
            "left": round(left * x_zoom),
            "height": round((bottom - top + 1) * y_zoom),
            "width": round((right - left + 1) * x_zoom),
        }
    outputs = labeled.outputs_at(y, x)
    quantity = labeled.prediction.quantity
    if quantity is None:
        assert labeled.labels is not None
        classes = list(sorted_outputs(outputs.tolist(), labeled.prediction.label_set))
        return {**told, "label": int(labeled.labels[y, x]), "classes": classes}
    value = (outputs.exp() if quantity.is_log else outputs)[0]
    return {**told, "value": float(value), "unit": quantity.unit}


def _heat(service: Service, labeled: Labeled, x: int, y: int, channel: int) -> Response:
    sight = service.looker.look(labeled, service.looker.cell(labeled, y, x), channel=channel)
    png, told = heat_of(sight, labeled.prediction.zoom)
    return JSONResponse({"png": base64.b64encode(png).decode(), **told})


def _picture(image: Any) -> Response:
    as_jpeg = image.shape[0] * image.shape[1] > SHARP
    content = bytes(encode_image(image, as_jpeg=as_jpeg))
    return Response(content, media_type="image/jpeg" if as_jpeg else "image/png")


def _example(service: Service, number: int) -> Any:
    if not 1 <= number <= len(service.examples):
        raise RefusedError(f"there is no example {number}; they are 1 to {len(service.examples)}", status=404)
    return service.examples[number - 1]


def _session(request: Request) -> str:
    """Who asks: the page's own random word; those without one share a place."""
    return request.headers.get("x-session", "")[:64]


def _refuse_outside(labeled: Labeled, x: int, y: int) -> None:
    height, width = labeled.size
    if not (0 <= x < width and 0 <= y < height):
        raise RefusedError(f"pixel ({x}, {y}) lies outside the image of {width} x {height}", status=422)


async def _read_json(request: Request) -> dict[str, Any]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > 4096:
            raise RefusedError("the settings are too long; send a few numbers", status=413)
    try:
        sent = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise RefusedError("the settings are no JSON", status=400) from error
    if not isinstance(sent, dict):
        raise RefusedError("the settings are no JSON object", status=400)
    return sent
