"""A network's cells of an image that is read by rows: neither it nor any layer is ever there whole."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from atrous.errors import ConfigError
from atrous.geometry.axis_flow import first_inner_output
from atrous.geometry.receptive_field import receptive_field
from atrous.inference.prepared import EXAMPLE_SIDE, Prepared
from atrous.inference.stream import Stream
from atrous.models.contract import DenseNetwork
from atrous.ops.pad import pad_reflect, reflected_index

ReadRows = Callable[[int, int], UInt8[np.ndarray, "rows w 3"]]
"""From a first row and one past the last to these rows of an image, RGB, 0-255."""

WHOLE_PIXELS = 1 << 22
"""Larger images go through the network by bands; VGG's first layers take 2 GB for one of this size."""

MEMORY = 256 << 20
"""Bytes for the largest layer of a band, and what it is made of."""

_MOST_ROWS = 256  # of a band: more are not faster
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
        self._device = device
        height, width = (side + 2 * network.margin for side in size)
        example = torch.zeros(1, 3, EXAMPLE_SIDE + 2 * network.margin, width, device=device)
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
        starts = range(start, self.size[0] + 2 * self.network.margin, self.rows)
        waiting = [reader.submit(self._read, read, starts[0])]
        for following in (*starts[1:], None):
            pixels = waiting.pop().result()
            if following is not None:
                waiting.append(reader.submit(self._read, read, following))
            yield self._normalized(pixels)

    def _read(self, read: ReadRows, start: int) -> UInt8[np.ndarray, "rows w 3"]:
        """One band of the image and its margin, without that at the sides."""
        height, margin = self.size[0], self.network.margin
        stop = min(start + self.rows, height + 2 * margin)
        index = reflected_index(start - margin, stop - margin, height)
        lowest = int(index.min())
        return read(lowest, int(index.max()) + 1)[index - lowest]

    def _normalized(self, pixels: UInt8[np.ndarray, "rows w 3"]) -> Float32[Tensor, "1 3 rows x"]:
        margin = self.network.margin
        images = torch.from_numpy(pixels).to(self._device).permute(2, 0, 1)[None].float()
        return pad_reflect(self.network.normalization.apply(images), [(0, 0), (margin, margin)])

    def _rows_a_band(self) -> int:
        nodes = [node for node in self._stream.graph if node.is_map and node.shape]
        largest = max(math.prod(node.shape) for node in nodes) / nodes[0].size[0]
        rows = MEMORY / (_COPIES * largest * self._itemsize)
        return self._alignment * max(int(min(rows, _MOST_ROWS) // self._alignment), 1)
