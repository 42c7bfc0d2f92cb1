"""Many works on many processors or machines, through Ray Data; a worker that dies loses nothing."""

import pickle
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atrous.checkpoint import checkpoint_file
from atrous.errors import AtrousError
from atrous.inference.cluster import imported, machines, share_out, started
from atrous.inference.ledger import Ledger, Recorded
from atrous.inference.pipeline import predict_works
from atrous.inference.work import Outcome, Part, Work

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

BLOCK = 8  # works at most that a worker gets at once, and begins anew if it dies


@dataclass(frozen=True, slots=True)
class Network:
    """How a worker comes by its predictor.

    Attributes:
        checkpoint: The file; its content travels to machines that do not see it.
        build: Makes the predictor of such a file; can be pickled.
        uses_gpus: Whether it would take a GPU.
    """

    checkpoint: Path
    build: Callable[[Path], "Predictor"]
    uses_gpus: bool = False


def predict_on_cluster(
    works: Sequence[Work], network: Network, *, workers: int = 0
) -> Generator[Outcome, None, None]:
    """Read, predict and write each work, in processes that load the network once each.

    Closing the generator ends the workers; what they had begun is lost, what is written stays.

    Args:
        works: What to do; each is done once, and again only if its worker died over it or its neighbors.
        network: What every worker loads.
        workers: Processes; 0 for one a GPU, or one for every two processors.

    Yields:
        What became of the works, as they are done.

    Raises:
        ConfigError: If Ray is not installed, its cluster does not answer, or has too few processors.
        OutputError: If a result cannot be written; other results stay.
    """
    if not works:
        return
    with started() as ray:
        cpus, gpus = machines(ray)
        share = share_out(cpus, gpus if network.uses_gpus else 0, workers=workers)
        content = ray.put(np.fromfile(checkpoint_file(network.checkpoint), np.uint8))
        ledger = ray.remote(num_cpus=0)(Ledger).remote()
        recipe = Recipe(content, network.build, ledger, share.cpus)
        size = max(1, min(BLOCK, len(works) // (4 * share.workers)))
        items = [{"number": number, "work": pickle.dumps(work)} for number, work in enumerate(works)]
        blocks = ray.data.from_items(items, override_num_blocks=-(-len(items) // size))
        results = blocks.map_batches(
            Worker,
            batch_size=None,  # a block
            fn_constructor_args=(recipe,),
            compute=ray.data.ActorPoolStrategy(size=share.workers),
            **({"num_gpus": share.gpus} if share.gpus else {"num_cpus": share.cpus}),
        )
        for row in results.iter_rows():
            if row["stop"]:
                raise pickle.loads(row["stop"])
            yield Outcome(row["number"], row["error"])


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a worker is made of; the checkpoint's content and the ledger are behind Ray's handles."""

    content: Any
    build: Callable[[Path], "Predictor"]
    ledger: Any
    num_threads: int


class Worker:
    """Does blocks of works with a predictor that it loads once."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @cached_property
    def predictor(self) -> "Predictor":
        """Loaded for the first block."""
        import torch

        torch.set_num_threads(self.recipe.num_threads)
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "checkpoint.safetensors"
            imported().get(self.recipe.content).tofile(checkpoint)
            return self.recipe.build(checkpoint)

    def __call__(self, block: dict[str, np.ndarray]) -> Iterator[dict[str, list[Any]]]:
        """Outcomes of a block, or the error that must end the run."""
        ledger = self.recipe.ledger
        numbers = [int(number) for number in block["number"]]
        before = imported().get(ledger.finished.remote(numbers))  # by a worker that died over the rest
        for number, error in before.items():
            yield _row(number, error)
        works = [
            Recorded(number, pickle.loads(work), ledger)
            for number, work in zip(numbers, block["work"], strict=True)
            if number not in before
        ]
        try:
            for outcome in predict_works(works, self.predictor):
                if isinstance(outcome, Part):
                    continue
                number = works[outcome.number].number
                ledger.finish.remote(number, outcome.error)
                yield _row(number, outcome.error)
        except AtrousError as error:
            yield _row(-1, "", stop=pickle.dumps(error))


def _row(number: int, error: str, *, stop: bytes = b"") -> dict[str, list[Any]]:
    """An outcome as Ray Data carries it; with `stop`, a pickled error, no outcome."""
    return {"number": [number], "error": [error], "stop": [stop]}
