"""OpenVINO and NNCF, imported when they are first needed, without telemetry and without output."""

import importlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from typing import Any

from atrous.errors import ConfigError

_TELEMETRY = "openvino_telemetry"


def load_openvino() -> Any:
    """The package.

    Raises:
        ConfigError: If it is not installed.
    """
    return _load("openvino")


@cache
def openvino_core() -> Any:
    """The one `openvino.Core` of the process, which lives as long as it does.

    Its plugin for processors gives the thread that loads it a stack for signals, and frees that stack in the
    thread that lets it go (2026.4): if that is another one, the next signal, a Ctrl-C too, ends the process.

    Raises:
        ConfigError: If OpenVINO is not installed.
    """
    core = load_openvino().Core()
    core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")  # loads the plugin
    return core


def load_nncf() -> Any:
    """The package, which says nothing below errors.

    Raises:
        ConfigError: If it is not installed.
    """
    nncf = _load("nncf")
    nncf.set_log_level(logging.ERROR)
    return nncf


@contextmanager
def quietly() -> Iterator[None]:
    """Without the progress bars that NNCF draws and the deprecations that conversion runs into in torch."""
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _load(name: str) -> Any:
    try:
        with _without_telemetry(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f'{name} cannot be imported ({error}): pip install "atrous[openvino]"') from error


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Both packages report that they were imported, unless there is no package to report with."""
    known = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment] (how Python says that an import must fail)
    try:
        yield
    finally:
        if known is None:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = known
