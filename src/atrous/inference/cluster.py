"""Ray, here or on a cluster: started and ended, kept from talking, and shared out among workers."""

import logging
import os
import socket
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from atrous.errors import ConfigError

ANSWERS_WITHIN = 10  # s
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or Ray warns of it, with or without a GPU
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@dataclass(frozen=True, slots=True)
class Share:
    """What each of some workers has.

    Attributes:
        workers: How many.
        cpus: Processors of each.
        gpus: GPUs of each; below 1 where several have one.
    """

    workers: int
    cpus: int
    gpus: float = 0


def share_out(cpus: Sequence[int], gpus: int, *, workers: int) -> Share:
    """What a cluster gives to each worker, so that all find their place.

    Args:
        cpus: Processors of each machine.
        gpus: Of all machines, as far as they are to be used.
        workers: Wanted; 0 for one a GPU, or without GPUs one for every two processors of a machine.

    Raises:
        ConfigError: If there are more workers than processors.

    >>> share_out([2, 8], 0, workers=0)
    Share(workers=5, cpus=2, gpus=0)
    """
    workers = workers or gpus or sum(max(1, count // 2) for count in cpus)
    if workers > sum(cpus):
        raise ConfigError(f"{workers} workers for {sum(cpus)} processors; give each at least one")
    each = sum(cpus) // workers
    while sum(count // each for count in cpus) < workers:  # none can use processors of two machines
        each -= 1
    return Share(workers, each, min(1, gpus / workers))


def imported() -> Any:
    """The module `ray`.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Ray's own dependencies; users cannot mend them
            import ray
            import ray.data
    except ImportError as error:
        raise ConfigError(
            f"--distribute ray needs a package that is not installed ({error}); pip install 'atrous[ray]'"
        ) from error
    return ray


@contextmanager
def started() -> Iterator[Any]:
    """The module `ray`, connected: to what runs already, to the cluster in RAY_ADDRESS, or else started here.

    Raises:
        ConfigError: If Ray is not installed, or the cluster cannot be reached.
    """
    with _environment(_QUIET):  # Ray reads it while it is imported and started
        ray = imported()
        is_ours = not ray.is_initialized()
        if is_ours:
            _start(ray)
    try:
        yield ray
    finally:
        if is_ours:
            ray.shutdown()
            _let_talk(ray, talks=True)


def machines(ray: Any) -> tuple[list[int], int]:
    """Processors of each machine of the cluster, and all its GPUs."""
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [int(each["CPU"]) for each in resources if each.get("CPU", 0) >= 1]
    return cpus, int(sum(each.get("GPU", 0) for each in resources))


def _start(ray: Any) -> None:
    address = os.environ.get("RAY_ADDRESS") or "local"
    try:
        _reach(address)
        ray.init(
            address,
            include_dashboard=False if address == "local" else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except OSError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"no Ray cluster answers at {address} ({reason}); correct or unset RAY_ADDRESS"
        ) from error
    _let_talk(ray, talks=False)


def _reach(address: str) -> None:
    """Knock at HOST:PORT; Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=ANSWERS_WITHIN).close()


def _let_talk(ray: Any, *, talks: bool) -> None:
    """Whether Ray tells of workers that died, on stdout, where results are printed, and draws bars."""
    ray._private.worker._worker_logs_enabled = talks
    logging.getLogger("ray.data").setLevel(logging.INFO if talks else logging.CRITICAL)
    ray.data.DataContext.get_current().enable_progress_bars = talks


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables, for a while."""
    earlier = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in earlier.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
