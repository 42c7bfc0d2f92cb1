"""Compiled models on disk, each by a digest of all that it was made from."""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, fx

from atrous.errors import OutputError
from atrous.files import write_atomically

CACHE_BYTES = 4 * 2**30  # Dilation8 takes 0.5 GiB an image size
_BLOB, _NOTE = ".blob", ".json"


def user_cache_folder() -> Path:
    """Where models are kept unless told otherwise: $XDG_CACHE_HOME/atrous/engines, or below ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "atrous" / "engines"


def program_digest(program: torch.export.ExportedProgram, facts: Iterable[str]) -> str:
    """Hex digest of a program: sizes, every operator with its numbers, every weight, and further facts.

    The names of layers and weights alone would not do: a dilation is in neither.
    """
    digest = hashlib.sha256()
    sizes = [str(node.meta["val"]) for node in program.graph.nodes if node.op == "placeholder"]
    parts = [part for part in program.graph_module.modules() if isinstance(part, fx.GraphModule)]
    for fact in (*facts, *sizes, *(str(part.graph) for part in parts), str(program.graph_signature)):
        digest.update(f"{len(fact)}:{fact}".encode())
    tensors = {**program.state_dict, **program.constants}
    for name in sorted(tensors):
        if isinstance(tensors[name], Tensor):
            digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
            digest.update(_bytes_of(tensors[name]))  # type: ignore[arg-type] (an array is a buffer)
    return digest.hexdigest()


class ModelCache:
    """A folder of compiled models, the least recently used of which go when it grows too large.

    Args:
        folder: Made when something is stored.
        max_bytes: What all models together may take.
    """

    def __init__(self, folder: Path, *, max_bytes: int = CACHE_BYTES) -> None:
        self.folder = folder
        self.max_bytes = max_bytes

    def load(self, key: str) -> tuple[bytes, str] | None:
        """A model and its note, or None."""
        blob = self.folder / f"{key}{_BLOB}"
        try:
            content, note = blob.read_bytes(), blob.with_suffix(_NOTE).read_text(encoding="utf-8")
            blob.touch()
        except OSError:  # not there, or being removed by another process
            return None
        return content, note

    def store(self, key: str, content: memoryview, note: str) -> None:
        """Keep a model and its note, if the disk lets us: a cache that cannot be written is no error."""
        blob = self.folder / f"{key}{_BLOB}"
        with suppress(OutputError):
            write_atomically(
                blob.with_suffix(_NOTE), lambda temporary: temporary.write_text(note, encoding="utf-8")
            )
            write_atomically(blob, lambda temporary: temporary.write_bytes(content))
            self._make_room()

    def drop(self, key: str) -> None:
        """Forget a model."""
        with suppress(OSError):
            for suffix in (_BLOB, _NOTE):
                (self.folder / f"{key}{suffix}").unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Drop the least recently used until the rest fits."""
        with suppress(OSError):
            blobs = sorted(
                self.folder.glob(f"*{_BLOB}"), key=lambda path: path.stat().st_mtime_ns, reverse=True
            )
            taken = 0
            for blob in blobs:
                taken += blob.stat().st_size
                if taken > self.max_bytes:
                    self.drop(blob.stem)


def _bytes_of(tensor: Tensor) -> np.ndarray:
    values = tensor.detach().cpu().contiguous().reshape(-1)
    return values.view(torch.uint8).numpy()
