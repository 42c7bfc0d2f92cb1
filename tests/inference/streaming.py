"""Streamed against whole."""

import torch
from torch import Tensor, nn

from atrous.inference.stream import Stream


def chunks_of(images: Tensor, sizes: list[int], dim: int) -> list[Tensor]:
    """Pieces along a dimension, of these sizes again and again."""
    pieces, start = [], 0
    while start < images.shape[dim]:
        stop = min(start + sizes[len(pieces) % len(sizes)], images.shape[dim])
        pieces.append(images.narrow(dim, start, stop - start))
        start = stop
    return pieces


def assert_same(network: nn.Module, stream: Stream, images: Tensor, sizes: list[int], dim: int = 2) -> None:
    """Streamed and whole agree, whether a last chunk or `flush` ends the input."""
    with torch.no_grad():
        whole = network(images)
    chunks = chunks_of(images, sizes, dim)
    streamed = torch.cat(list(stream.run(chunks)), dim)
    torch.testing.assert_close(streamed, whole, rtol=1e-12, atol=1e-12)
    stream.restart()
    flushed = torch.cat([*map(stream.push, chunks), stream.flush()], dim)
    torch.testing.assert_close(flushed, whole, rtol=1e-12, atol=1e-12)
