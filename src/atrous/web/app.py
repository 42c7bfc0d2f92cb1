"""The routes put together, and what all answers have in common: errors as sentences, nothing kept."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
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
    hosts: frozenset[str] = frozenset()
    """Names under which the server answers, without the port; any if empty."""


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
    app.add_exception_handler(RequestValidationError, _misunderstood)
    app.add_middleware(_Guard, hosts=service.hosts)
    add_api(app, service)
    add_view(app, service)
    return app


async def _sweep(results: Results) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY)
        results.expire()


class _Guard:
    """Adds the headers of every answer; turns away other websites, and gradio's way to put files on the disk.

    Who visits a website lets it send requests to this machine, also under a name of its own that it has
    pointed here; so names are checked, and what another website sends is not computed.
    """

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str]) -> None:
        self.app = app
        self.hosts = hosts

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

        refused = self._refused(scope) if scope["type"] == "http" else None
        await (refused or self.app)(scope, receive, with_headers)

    def _refused(self, scope: Scope) -> Response | None:
        """The answer to a request that goes no further, or None."""
        if scope["path"].startswith(UPLOAD):
            return error_of("files are sent to /predict; nothing is stored here", status=404)
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.hosts and _name_of(host) not in self.hosts:
            names = ", ".join(sorted(self.hosts))
            return error_of(f"this server answers as {names}, not as {host}; use one of these", status=403)
        origin = headers.get("origin", "")
        is_foreign = headers.get("sec-fetch-site") == "cross-site" or (
            origin not in ("", "null") and urlsplit(origin).netloc != host
        )
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and is_foreign:
            return error_of("another website sent this; open the page of this server itself", status=403)
        return None


def _name_of(host: str) -> str:
    """A host without its port."""
    return (urlsplit(f"//{host}").hostname or "").lower()


def error_of(sentence: str, *, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as every answer gives it."""
    return JSONResponse({"error": sentence}, status_code=status, headers=headers)


async def _refused(_request: Request, error: Any) -> Response:
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else None
    return error_of(str(error), status=error.status, headers=headers)


async def _misunderstood(_request: Request, error: Any) -> Response:
    first = error.errors()[0]
    return error_of(f"{first['loc'][-1]}: {first['msg'].lower()}; mend the address", status=422)


async def _impossible(_request: Request, error: Exception) -> Response:
    return error_of(str(error), status=422)


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=GONE)


async def _failed(_request: Request, error: Exception) -> Response:
    traceback.print_exception(error)
    return error_of(f"the server failed ({type(error).__name__}); its log says more", status=500)
