"""Serve a checkpoint as a web page and an HTTP API, on this machine unless told otherwise."""

import atexit
import importlib.util
import os
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from atrous.errors import ConfigError
from atrous.jobs.inference_settings import DEFAULT_CHECKPOINT, InferenceSettings, note_on_bundled
from atrous.jobs.interrupt import listen
from atrous.jobs.progress import Job, Progress
from atrous.web.limits import Limits
from atrous.web.scratch import scratch_folder
from atrous.web.server import bound, serving, url_of

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor
    from atrous.web.app import Service
    from atrous.web.examples import Example
    from atrous.web.labeler import Labeler

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
POLL = 0.1  # seconds, between two looks at what happened


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """Label images in a browser, or for other programs.

    Attributes:
        checkpoint: What `atrous train` wrote, of a network for images; the bundled one for streets unless
            given.
        host: Address to listen at; 0.0.0.0 lets other machines in.
        port: Number to listen at; 0 takes a free one.
        device: auto, cpu, cuda, mps.
        limits: What is taken, and how much at once.
    """

    checkpoint: Annotated[Positional[Path], arg(metavar="[CHECKPOINT]")] = DEFAULT_CHECKPOINT
    host: str = "127.0.0.1"
    port: int = 7860
    device: str = "auto"
    limits: Annotated[Limits, arg(name="")] = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port {self.port} is impossible; give 1 to 65535, or 0 for a free one")


@dataclass(frozen=True, slots=True)
class Served:
    """What a server did until it was stopped."""

    url: str
    answered: int
    seconds: float
    exit_code: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"url": self.url, "answered": self.answered, "seconds": round(self.seconds, 1)}

    def to_table(self) -> str:
        """A line."""
        return f"stopped after {self.seconds:.0f} s and {self.answered} answers"


def run(config: ServeConfig) -> Job[Served]:
    """Serve until Ctrl-C or SIGTERM; yields the address, returns what was done.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
        ConfigError: If gradio is not installed, the address is taken, or the network is not for images.
    """
    if importlib.util.find_spec("gradio") is None:
        raise ConfigError('the page needs gradio, which is not installed; run pip install "atrous[web]"')
    start = time.monotonic()
    with listen() as wish, closing(bound(config.host, config.port)) as listening, scratch_folder():
        yield Progress(
            0, 0, "load", message=note_on_bundled(config.checkpoint) or f"loading {config.checkpoint}"
        )
        service = build_service(config)
        with serving(service, listening) as server:
            url = url_of(config.host, listening.getsockname()[1])
            yield Progress(0, 0, "serve", message=f"{url}  (Ctrl-C stops)")
            while not wish.stop and server.is_alive():
                time.sleep(POLL)
    if service.line.is_working:
        atexit.register(_leave)
    return Served(url, service.line.num_done, time.monotonic() - start)


def _leave() -> None:
    """End at once: an interpreter that ends under a thread inside a kernel aborts the process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def build_service(config: ServeConfig) -> "Service":
    """The network, warmed up, and what stands before it.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
        ConfigError: If the network is not for images.
    """
    from atrous.checkpoint import load_header
    from atrous.inference.exported import is_exported
    from atrous.web.app import Service
    from atrous.web.examples import draw_examples
    from atrous.web.labeler import Labeler
    from atrous.web.line import Line
    from atrous.web.results import Results
    from atrous.web.sight import Looker

    limits = config.limits
    if is_exported(config.checkpoint):
        raise ConfigError(
            f"{config.checkpoint} is an exported file, which tells no gradients and so not what it looks at; "
            "serve the checkpoint that it was made of"
        )
    predictor = InferenceSettings(device=config.device, engine="torch").predictor(config.checkpoint)
    _refuse_other_inputs(config.checkpoint, predictor)
    labeler = Labeler(predictor, network=str(load_header(config.checkpoint)["network"]), limits=limits)
    examples = draw_examples(predictor.quantity)
    labeler.label_pixels(examples[0].image)  # the first image allocates and compiles
    looker = Looker(predictor)
    _ = looker.field  # traced before anybody clicks
    results = Results(max_bytes=int(limits.max_memory_mb * 1e6), seconds=60 * limits.forget_after)
    if predictor.quantity is None:
        threading.Thread(target=_warm_crf, args=(labeler, examples[0]), daemon=True).start()
    line = Line(concurrency=limits.concurrency, waiting=limits.queue)
    return Service(labeler, looker, limits, line, results, examples, hosts=_hosts(config.host))


def _hosts(host: str) -> frozenset[str]:
    """Names of this machine for itself, if the server listens to nobody else."""
    return LOOPBACK | {host} if host in LOOPBACK else frozenset()


def _warm_crf(labeler: "Labeler", example: "Example") -> None:
    """Refine a few pixels, for which the CRF is compiled, so that nobody waits for that."""
    from atrous.jobs.crf_settings import CRFSettings

    labeler.refine(labeler.label_pixels(example.image[:32, :32].copy()), CRFSettings())


def _refuse_other_inputs(checkpoint: Path, predictor: "Predictor") -> None:
    """Nothing, if the network takes one image at a time."""
    from atrous.data.voice import Voice

    axes = predictor.network.num_axes
    if isinstance(predictor.meaning, Voice) or axes == 1:
        raise ConfigError(
            f"{checkpoint} is a network for sounds, and the page takes images; see atrous generate, predict"
        )
    if axes == 3:
        raise ConfigError(
            f"{checkpoint} is a network for volumes, and the page takes images; use atrous predict"
        )
    if predictor.network.num_channels != 3:
        raise ConfigError(f"{checkpoint} sees two images at once, and the page takes one; use atrous predict")
