"""Scores of a volume by a network for volumes: at once, or streamed where it is large."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from atrous.errors import ConfigError, DataError, GeometryError, ShapeError
from atrous.inference.engine import Engine, TorchEngine, refuse_not_finite
from atrous.inference.stream import Stream
from atrous.inference.views import Views
from atrous.models.contract import DenseNetwork
from atrous.ops.pad import pad_reflect

WHOLE_VOXELS = 1 << 22
"""Larger volumes are streamed; see docs/volumes.md for the memory that a voxel takes at once."""

CHUNK_VOXELS = 1 << 20
"""Voxels of a chunk of a stream; at least one slice."""


def refuse_image_ways(network: DenseNetwork, *, views: Views, protocol: str, has_crf: bool) -> None:
    """Nothing, if a network is asked in a way that it can be.

    Raises:
        ConfigError: If it is for volumes or sounds, and what only images have is wanted.
    """
    if network.num_axes != 2 and (has_crf or protocol != "exact" or not views.is_plain):
        kind = "sounds" if network.num_axes == 1 else "volumes"
        raise ConfigError(
            f"the network is for {kind}, which are seen once and whole; leave out crf, scales, flip, protocol"
        )


def volume_scores(
    network: DenseNetwork, engine: Engine, values: np.ndarray, *, device: torch.device
) -> Iterator[tuple[int, Float[Tensor, "k x y z"]]]:
    """Logits of a volume on the network's own grid, in parts along one axis from the first cell to the last.

    Args:
        network: For volumes; it says how they are normalized, and how wide the margin is.
        engine: What computes.
        values: Intensities (x, y, z), x to the right, y to the front, z up.
        device: Where to compute.

    Yields:
        The axis (1-3) along which parts follow each other, and the next part.

    Raises:
        DataError: If no voxel is finite.
        ShapeError: If the array is no volume, or too large for a network that sees all of it at once.
    """
    if values.ndim != 3 or values.dtype != np.float32 or values.size == 0:
        raise ShapeError(
            f"the network labels volumes, float32 (x, y, z), not {values.dtype} {values.shape}; give a NIfTI "
            "file, or read one by atrous.data.volume_pair"
        )
    if not np.isfinite(values).any():
        raise DataError("no voxel of the volume is finite: it shows nothing to label; mend the file")
    images = network.normalization.apply(torch.from_numpy(values)[None, None])
    margin = network.margin
    images = pad_reflect(images, [(margin, margin)] * 3)
    longest = 2 + int(np.argmax(values.shape))
    if values.size <= WHOLE_VOXELS or not isinstance(engine, TorchEngine):
        yield 1, refuse_not_finite(engine(images)[0])
        return
    shape = list(images.shape)
    rows = max(1, CHUNK_VOXELS * shape[longest] // values.size)
    shape[longest] = network.receptive_field + 2 * rows
    try:
        stream = Stream(engine.network, torch.zeros(shape, device=device), axis=longest)
    except (GeometryError, ConfigError) as error:
        raise ShapeError(
            f"a volume of {' x '.join(map(str, values.shape))} voxels is too large to go through the network "
            f"at once, and not in parts either ({error}); cut it into smaller volumes"
        ) from error
    for part in stream.run(chunk.to(device) for chunk in images.split(rows, longest)):
        yield longest - 1, refuse_not_finite(part[0].float())


def whole_scores(parts: Iterator[tuple[int, Tensor]]) -> Float32[Tensor, "k x y z"]:
    """All parts of `volume_scores` as one."""
    collected = list(parts)
    return torch.cat([part for _, part in collected], collected[0][0])


def labels_of(parts: Iterator[tuple[int, Tensor]]) -> UInt8[np.ndarray, "x y z"]:
    """The most probable class at every cell; no scores are kept."""
    collected = [(axis, part.argmax(0).byte().cpu()) for axis, part in parts]
    return torch.cat([labels for _, labels in collected], collected[0][0] - 1).numpy()
