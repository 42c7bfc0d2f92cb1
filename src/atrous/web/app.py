"""The routes put together, and what all answers have in common: errors as sentences, nothing kept."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atrous.errors import AtrousError
from atrous.web.examples import Example
from atrous.web.labeler import Labeler
from atrous.web.limits import Limits
from atrous.web.line import Line
from atrous.web.refusals import GoneError, RefusedError
from atrous.web.results import Results
from atrous.web.sight import Looker

SWEEP_EVERY = 30.0  # seconds
GONE = 499  # what nginx writes of those who hang up; nobody reads it
UPLOAD = "/gradio_api/upload"
FIXED = ("/assets/", "/static/", "/theme.css")  # gradio's own files, which browsers may keep
HEADERS = (
    (b"cache-control", b"no-store"),  # not on the disk of the browser either
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",  # gradio makes scripts on the page; nothing comes from elsewhere
        b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'",
    ),
)


@dataclass(frozen=True, slots=True)
class Service:
    """All that the routes share."""

    labeler: Labeler
    looker: Looker
    limits: Limits
    line: Line
    results: Results
    examples: tuple[Example, ...] = ()


def build_app(service: Service) -> FastAPI:
    """The HTTP API and what the page asks, without the page."""
    from atrous.web.api import add_api
    from atrous.web.view import add_view

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(_sweep(service.results))
        yield
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper

    # Its own page of documentation loads scripts from elsewhere.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(AtrousError, _impossible)
    app.add_exception_handler(GoneError, _gone)
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(_Guard)
    add_api(app, service)
    add_view(app, service)
    return app


async def _sweep(results: Results) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY)
        results.expire()


class _Guard:
    """Adds the headers of every answer, and closes gradio's own way to put files on the disk."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                is_fixed = scope["path"].startswith(FIXED)
                added = [
                    header
                    for header in HEADERS
                    if header[0] not in names and not (is_fixed and header[0] == b"cache-control")
                ]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        if scope["type"] == "http" and scope["path"].startswith(UPLOAD):
            refused = error_of("files are sent to /predict; nothing is stored here", status=404)
            await refused(scope, receive, with_headers)
        else:
            await self.app(scope, receive, with_headers)


def error_of(sentence: str, *, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as every answer gives it."""
    return JSONResponse({"error": sentence}, status_code=status, headers=headers)


async def _refused(_request: Request, error: Any) -> Response:
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else None
    return error_of(str(error), status=error.status, headers=headers)


async def _impossible(_request: Request, error: Exception) -> Response:
    return error_of(str(error), status=422)


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=GONE)


async def _failed(_request: Request, error: Exception) -> Response:
    traceback.print_exception(error)
    return error_of(f"the server failed ({type(error).__name__}); its log says more", status=500)
