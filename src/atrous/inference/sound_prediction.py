"""Scores and labels of a sound by a network for sounds: at once, or streamed where it is long."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from atrous.errors import DataError, ShapeError
from atrous.inference.engine import Engine, TorchEngine, refuse_not_finite
from atrous.inference.stream import Stream
from atrous.models.contract import DenseNetwork

WHOLE_SAMPLES = 1 << 18
"""Longer sounds are streamed: a sample takes about 20 kB at once, for its codes and features."""

CHUNK_SAMPLES = 1 << 14


def sound_scores(
    network: DenseNetwork, engine: Engine, samples: np.ndarray, *, device: torch.device
) -> Float[Tensor, "k t"]:
    """Logits at every sample.

    Args:
        network: For sounds; it says how they are companded.
        engine: What computes.
        samples: From -1 to 1, at the network's rate.
        device: Where to compute.

    Raises:
        DataError: If a sample is not finite.
        ShapeError: If the array is no sound.
    """
    if samples.ndim != 1 or samples.dtype != np.float32 or samples.size == 0:
        raise ShapeError(
            f"the network labels sounds, float32 (t,), not {samples.dtype} {samples.shape}; read a file "
            "by atrous.data.sound"
        )
    if len(samples) <= WHOLE_SAMPLES:
        return refuse_not_finite(engine(_shown(network, samples, device))[0])
    pieces = np.split(samples, range(CHUNK_SAMPLES, len(samples), CHUNK_SAMPLES))
    return torch.cat(list(_streamed(network, engine, pieces, device=device)), dim=1)


def label_blocks(
    network: DenseNetwork,
    engine: Engine,
    blocks: Iterable[Float32[np.ndarray, " _t"]],
    *,
    device: torch.device,
) -> Iterator[UInt8[np.ndarray, " _n"]]:
    """The most probable class at every sample of a sound of any length, in order.

    They are those of the whole sound at once, within float rounding. Memory does not grow with its length.

    Args:
        network: For sounds.
        engine: What computes.
        blocks: The sound, one block after the other.
        device: Where to compute.

    Raises:
        DataError: If a sample is not finite.
        GeometryError: If an operator of the network sees the whole sound.
    """
    pieces = (
        piece
        for block in blocks
        for piece in np.split(block, range(CHUNK_SAMPLES, len(block), CHUNK_SAMPLES))
    )
    for scores in _streamed(network, engine, pieces, device=device):
        yield scores.argmax(0).byte().cpu().numpy()


def _streamed(
    network: DenseNetwork, engine: Engine, pieces: Iterable[np.ndarray], *, device: torch.device
) -> Iterator[Float[Tensor, "k n"]]:
    assert isinstance(engine, TorchEngine)
    length = network.receptive_field + CHUNK_SAMPLES
    stream = Stream(engine.network, torch.zeros(1, network.num_channels, length, device=device), axis=-1)
    for part in stream.run(_shown(network, piece, device) for piece in pieces):
        yield refuse_not_finite(part[0].float())


def _shown(network: DenseNetwork, samples: np.ndarray, device: torch.device) -> Float[Tensor, "1 c t"]:
    """Samples as the network reads them."""
    if not np.isfinite(samples).all():
        raise DataError("the sound holds samples that are not finite; save it anew")
    return network.normalization.apply(torch.from_numpy(np.ascontiguousarray(samples)).to(device)[None, None])
