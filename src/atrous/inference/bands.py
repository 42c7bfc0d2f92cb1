"""A network's cells of an image that is read by rows: neither it nor any layer is ever there whole."""

import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from atrous.errors import ConfigError
from atrous.geometry.axis_flow import first_inner_output
from atrous.geometry.receptive_field import receptive_field
from atrous.inference.engine import Engine
from atrous.inference.margin import Margined, ReadRows
from atrous.inference.prepared import EXAMPLE_SIDE, Prepared
from atrous.inference.stream import Stream
from atrous.inference.tiles import Tiles
from atrous.models.contract import DenseNetwork

WHOLE_PIXELS = 1 << 22
"""Larger images go through the network by bands; VGG's first layers take 2 GB for one of this size."""

MEMORY = 256 << 20
"""Bytes for the largest layer of a band, and what it is made of."""

TILE_MEMORY = 3 << 29
"""Bytes for a tile, where an engine takes fixed sizes only: small tiles are mostly halo."""

_LAYER = 24 << 20  # bytes a band of it: from 32 MiB on, glibc takes memory anew from the system at each use
_FEW_ROWS = 64  # of a band, where they fit into `MEMORY`: fewer are slower by what each call costs
_COPIES = 3  # of a band in its largest layer at one time: what it reads, that with its border, what it writes


class Bands:
    """Images of one size, run through a network from top to bottom in bands of some rows.

    The cells are those of the whole image, within float rounding, and none is computed twice; see `Stream`.

    Args:
        network: It says how images are normalized, and how wide the margin is.
        computed: The same network, ready for a device.
        size: Height and width of the images in pixels, without the margin.
        device: That of `computed`.

    Attributes:
        size: As given.
        rows: Of a band, in pixels; by the memory that they take.

    Raises:
        GeometryError: If an operator of the network sees the whole image.
    """

    def __init__(
        self, network: DenseNetwork, computed: Prepared, size: tuple[int, int], *, device: torch.device
    ) -> None:
        self.network = network
        self.size = size
        self._rows = Margined(network, size, device)
        height, width = self._rows.padded
        example = torch.zeros(
            1, network.num_channels, EXAMPLE_SIDE + 2 * network.margin, width, device=device
        )
        try:
            self._stream = Stream(computed, example)
        except ConfigError:  # it resizes to a size, or aligns corners
            self._stream = Stream(computed, example, length=height)
        layers = receptive_field(self._stream.graph).layers
        self._alignment = math.lcm(*(layer.axes[0].stride.numerator for layer in layers))
        self._spoiled = first_inner_output(self._stream.graph, axis=0)
        self._itemsize = computed.dtype.itemsize
        self.rows = self._rows_a_band()

    def cells(self, read: ReadRows, *, first: int = 0) -> Iterator[Float32[Tensor, "k rows x"]]:
        """Logits of the rows of cells from `first` on, as they are completed.

        Args:
            read: Gives rows of the image; it is called from another thread, from top to bottom, but for the
                rows that are reflected beyond the lower border.
            first: The first row of cells that is wanted. What lies above all that it sees is not read.
        """
        start, unwanted = self._start(first)
        with ThreadPoolExecutor(1) as reader:
            for piece in self._stream.run(self._bands(read, start, reader)):
                wanted = piece[0, :, unwanted:]
                unwanted = max(unwanted - piece.shape[2], 0)
                if wanted.shape[1]:
                    yield wanted.float()

    def _start(self, first: int) -> tuple[int, int]:
        """The row of pixels, margin included, to begin with, and how many rows of cells come before `first`.

        Where the stream begins inside the image, the first cells see a border that is not there.
        """
        if self._stream.length is not None:
            return 0, first
        stride = self.network.output_stride
        start = max(first - self._spoiled, 0) * stride // self._alignment * self._alignment
        return start, first - start // stride

    def _bands(self, read: ReadRows, start: int, reader: ThreadPoolExecutor) -> Iterator[Tensor]:
        """Normalized rows of the image and its margin, some at a time; the next are read meanwhile."""
        height = self._rows.padded[0]

        def begin(start: int) -> Future[UInt8[np.ndarray, "rows w 3"]]:
            return reader.submit(self._rows.pixels, read, start, min(start + self.rows, height))

        waiting = begin(start)
        for following in range(start + self.rows, height, self.rows):
            pixels, waiting = waiting.result(), begin(following)
            yield self._rows.normalized(pixels)
        yield self._rows.normalized(waiting.result())

    def _rows_a_band(self) -> int:
        nodes = [node for node in self._stream.graph if node.is_map and node.shape]
        largest = max(math.prod(node.shape) for node in nodes) / nodes[0].size[0]
        row = largest * self._itemsize
        rows = min(MEMORY / (_COPIES * row), max(_LAYER / row, _FEW_ROWS))
        return self._alignment * max(int(rows // self._alignment), 1)


class TiledImage:
    """Images of one size, run through an engine of fixed sizes in exact tiles; see `Tiles`.

    Args:
        network: What the engine computes, on the processor.
        engine: From normalized images to logits.
        size: Height and width of the images in pixels, without the margin.
        twin: A network without weights that stands for one that cannot be traced; it has no stages then.

    Attributes:
        size: As given.

    Raises:
        GeometryError: If an operator of the network sees the whole image.
    """

    def __init__(
        self,
        network: DenseNetwork,
        engine: Engine,
        size: tuple[int, int],
        *,
        twin: DenseNetwork | None = None,
    ) -> None:
        self.size = size
        self._rows = Margined(network, size, torch.device("cpu"))
        traced = network if twin is None else twin
        side = EXAMPLE_SIDE + 2 * network.margin
        device = next(traced.parameters()).device
        self._tiles = Tiles(
            traced,
            torch.zeros(1, network.num_channels, side, side, device=device),
            memory_budget=TILE_MEMORY,
            build=lambda part: engine if part is traced else engine.of(part),
            staged=twin is None,
        )

    def cells(self, read: ReadRows, *, first: int = 0) -> Iterator[Float32[Tensor, "k rows x"]]:
        """Logits of the rows of cells from `first` on, as those of `Bands`; not read from another thread."""

        def normalized(rows: slice) -> Tensor:
            return self._rows.normalized(self._rows.pixels(read, rows.start, rows.stop))

        for logits in self._tiles.rows(self._rows.padded, normalized, first=first):
            yield logits[0].float()
