"""The server around the routes: an address to listen at, a thread that answers, a quick and clean end."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from atrous.errors import ConfigError

if TYPE_CHECKING:
    from atrous.web.app import Service

SILENT = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
BACKLOG = 128
MOST_CONNECTIONS = 256  # pages keep one each
LAST_WORDS = 1  # seconds for answers that are being written at the end


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises:
        ConfigError: If there is no such address here, or somebody else has it.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {host} port {port} ({error.strerror or error}); choose another --port, 0 for "
            "a free one, or another --host"
        ) from error


def url_of(host: str, port: int) -> str:
    """What to type into a browser of this machine."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


@contextmanager
def serving(service: "Service", listening: socket.socket) -> Iterator[threading.Thread]:
    """A thread that answers at a socket; at the end requests under way are given up.

    It is a thread so that signals stay with whoever waits for them here.
    """
    os.environ.update(SILENT)
    import uvicorn

    from atrous.web.app import build_app
    from atrous.web.page import mount_page  # gradio reads the variables when it is imported

    config = uvicorn.Config(
        mount_page(build_app(service), service),
        log_level="critical",  # what fails here is printed by the app, once
        access_log=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=LAST_WORDS,
        server_header=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="server", daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        server.should_exit = True
        thread.join(timeout=LAST_WORDS)
        server.force_exit = True  # pages that are open keep a connection for good
        thread.join(timeout=LAST_WORDS)
