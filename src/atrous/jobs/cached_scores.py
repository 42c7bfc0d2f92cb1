"""A frozen front end's scores of a whole data set on disk, so that a context module trains on them alone.

Yu & Koltun's released scripts do the same: the context module learns from stored scores of whole images.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from atrous.data.fingerprint import files_of
from atrous.data.labels import IGNORE
from atrous.data.loader import index_at, read_ahead
from atrous.data.samples import Samples
from atrous.errors import DataError, TrainingError
from atrous.files import write_atomically
from atrous.inference.machine import Precision
from atrous.inference.predictor import Predictor
from atrous.jobs.progress import Job, Progress
from atrous.models.contract import DenseNetwork
from atrous.ops.pad import reflected_index
from atrous.training.loop import Example
from atrous.training.settings import Stage


def can_cache(stage: Stage) -> bool:
    """Whether the stage sees every image unchanged but for mirroring and cropping."""
    return stage.scale == (1.0, 1.0) and stage.color == 0.0


@dataclass(frozen=True, slots=True)
class ScoreCache:
    """Scores (k, y, x) float16 and labels (h, w) of every sample, mirrored too where asked, one file each.

    Attributes:
        folder: Of this data set and these weights.
        dataset: What the scores are of.
        stride: Pixels from one cell of the scores to the next.
    """

    folder: Path
    dataset: Samples
    stride: int

    @classmethod
    def of(
        cls, front_end: DenseNetwork, dataset: Samples, parent: Path, *, precision: Precision = "float32"
    ) -> "ScoreCache":
        """The cache of these weights on this data, in a folder named by the hash of both.

        Runs may share a folder of caches: what another network, precision or state of the files gives lies in
        another cache.
        """
        settings = (front_end.normalization.to_dict(), dataset.label_set.to_dict(), len(dataset), precision)
        files = [(str(path), *_state(path)) for path in files_of(dataset)]
        digest = hashlib.sha256(json.dumps((settings, files)).encode())
        for value in front_end.state_dict().values():
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return cls(parent / digest.hexdigest()[:16], dataset, front_end.output_stride)

    def path(self, index: int, *, mirrored: bool) -> Path:
        """File of one sample."""
        return self.folder / f"{index:06d}{'m' if mirrored else ''}.safetensors"

    def fill(self, front_end: DenseNetwork, *, mirror: bool, device: str, precision: Precision) -> Job[None]:
        """Compute what is missing."""
        predictor = Predictor(front_end, device=device, precision=precision)
        for index in range(len(self.dataset)):
            for mirrored in (False, True) if mirror else (False,):
                path = self.path(index, mirrored=mirrored)
                if not path.exists():
                    self._write(path, predictor, index, mirrored)
            yield Progress(index + 1, len(self.dataset), "front-end scores")

    def _write(self, path: Path, predictor: Predictor, index: int, mirrored: bool) -> None:  # noqa: FBT001
        sample = self.dataset[index]
        step = -1 if mirrored else 1
        scores = predictor.scores(np.ascontiguousarray(sample.image[:, ::step])).cpu().numpy()
        largest = np.abs(scores).max()
        if not largest <= np.finfo(np.float16).max:
            raise TrainingError(
                f"the front end gives {sample.name} the score {largest:g}, beyond what is stored (65504); it "
                "has diverged, or was never trained: train it, or start from one with --init"
            )

        # Not npz: numpy parses its headers as Python, which in Python 3.11 only one thread may do at a time.
        arrays = {
            "scores": np.ascontiguousarray(scores, np.float16),  # safetensors takes the memory as it lies
            "labels": np.ascontiguousarray(sample.labels[:, ::step]),
        }
        write_atomically(path, lambda temporary: save_file(arrays, temporary))

    def read(self, index: int, *, mirrored: bool = False) -> dict[str, np.ndarray]:
        """The `scores` and `labels` of a sample.

        Raises:
            DataError: If the file is broken or gone.
        """
        path = self.path(index, mirrored=mirrored)
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise DataError(
                f"stored scores {path} are broken ({error}); remove them to have them made again"
            ) from error

    def examples(self, stage: Stage, *, numbers: range, seed: int) -> Iterator[Example]:
        """Batches of score crops (b, k, y, x) and the labels that count."""

        def load(position: int) -> tuple[np.ndarray, np.ndarray]:
            return self._crop(position, stage, seed)

        for crops in read_ahead(load, batch_size=stage.batch_size, numbers=numbers):
            yield (
                torch.from_numpy(np.stack([scores for scores, _ in crops])),
                torch.from_numpy(np.stack([labels for _, labels in crops])),
            )

    def _crop(self, position: int, stage: Stage, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Cells of one sample and their pixels' labels; beyond the map reflected cells, ignored labels."""
        generator = np.random.default_rng((seed, 1, position))
        index = index_at(position, num_samples=len(self.dataset), seed=seed)
        mirrored = stage.mirror and bool(generator.random() < 0.5)
        stored = self.read(index, mirrored=mirrored)
        scores, labels = stored["scores"].astype(np.float32), stored["labels"]
        for axis, crop in enumerate(stage.crop_size):
            cells, size = -(-crop // self.stride), scores.shape[1 + axis]
            start = int(generator.integers(min(0, size - cells), max(0, size - cells) + 1))
            scores = scores.take(reflected_index(start, start + cells, size), 1 + axis)
            labels = _window(labels, start * self.stride, cells * self.stride, axis)
        step = stage.loss_stride
        return scores, np.ascontiguousarray(labels[::step, ::step])


def _state(path: Path) -> tuple[int, int]:
    """What changes when a file does: its size and when it was written, ns; zeros of a missing one."""
    try:
        found = path.stat()
    except OSError:  # reading its sample says so
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _window(labels: np.ndarray, start: int, length: int, axis: int) -> np.ndarray:
    """`length` labels from `start` along an axis; ignored where there are none."""
    positions = np.arange(start, start + length)
    inside = (positions >= 0) & (positions < labels.shape[axis])
    taken = labels.take(np.where(inside, positions, 0), axis)
    return np.where(np.expand_dims(inside, 1 - axis), taken, np.uint8(IGNORE))
