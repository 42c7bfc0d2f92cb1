"""Prediction as Yu & Koltun's released script does it: tile by tile, each tile on its own."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from atrous.errors import ConfigError
from atrous.inference.views import Views
from atrous.models.contract import DenseNetwork
from atrous.models.released import RELEASED_LABELS
from atrous.ops.pad import pad_reflect
from atrous.ops.resample import upsample_logits

Protocol = Literal["exact", "released"]


@dataclass(frozen=True, slots=True)
class Tile:
    """The part of a tile that lies on the image and its margin, in pixels: less than all at the far sides."""

    top: int
    left: int
    height: int
    width: int


def plan_tiles(image_size: tuple[int, int], *, tile_size: tuple[int, int], margin: int) -> tuple[Tile, ...]:
    """The tiles of an image, row by row: inside their margins they cover it once.

    >>> plan_tiles((375, 1500), tile_size=(852, 1640), margin=186)
    (Tile(top=0, left=0, height=747, width=1640), Tile(top=0, left=1268, height=747, width=604))

    Args:
        image_size: Height and width in pixels, without the margin.
        tile_size: Height and width in pixels, with the margin.
        margin: Pixels on every side of the image, and of each tile, that are seen but not labelled.

    Raises:
        ConfigError: If the tiles are all margin.
    """
    if min(tile_size) <= 2 * margin:
        raise ConfigError(
            f"tiles of {tile_size[0]} x {tile_size[1]} px are all margin; make both sides larger than "
            f"{2 * margin} px"
        )
    rows, columns = (
        [
            (start, min(tile_side, side + 2 * margin - start))
            for start in range(0, side, tile_side - 2 * margin)
        ]
        for side, tile_side in zip(image_size, tile_size, strict=True)
    )
    return tuple(Tile(top, left, height, width) for top, height in rows for left, width in columns)


def released_probabilities(
    network: DenseNetwork,
    images: Float[Tensor, "1 3 y x"],
    compute: Callable[[Float[Tensor, "1 3 y x"]], Float[Tensor, "1 k y x"]],
) -> Float[Tensor, "k h w"]:
    """Probabilities at every pixel of one image, from the authors' tiles.

    The network sees each tile alone, so the zeros of its context module lie at the border of every tile. A
    tile that reaches beyond the margin goes on as the reflection of itself. The tiles' maps of probabilities
    are put side by side and interpolated linearly, pixel p reading cell p / output_stride.

    Where a tile is no whole number of cells wide, its last cell is kept whole, as the authors keep it: a
    KITTI tile labels 1268 px with 159 cells, so what the network sees at pixel 1268 is shown at 8 * 159 =
    1272. Two faults of the script are mended: the last row and column of cells go on to the end of the image,
    where the script reads past them, and what Cityscapes' tiles have beyond the image is cropped.

    Args:
        network: It has a `tile_size`.
        images: One image, normalized, with the network's margin.
        compute: What asks the network about a tile, such as an `Engine`.

    Raises:
        ConfigError: If the network has no `tile_size`, or one that is all margin.
    """
    tile_size, margin, stride = _tile_size(network), network.margin, network.output_stride
    height, width = (side - 2 * margin for side in images.shape[2:])
    tiles = plan_tiles((height, width), tile_size=tile_size, margin=margin)
    rows = [
        torch.cat([compute(_tile_of(images, tile, tile_size)).float().softmax(1) for tile in row], dim=3)
        for _, row in groupby(tiles, key=lambda tile: tile.top)
    ]
    cells = torch.cat(rows, dim=2)
    if stride == 1:  # a cell a pixel: nothing to interpolate
        return cells[0, :, :height, :width]
    return upsample_logits(cells, (height, width), stride=stride, center=0, mode="origin")[0]


def refuse_protocol(protocol: str, network: DenseNetwork, *, views: Views) -> None:
    """Nothing, if the network can be asked in this way.

    Raises:
        ConfigError: If the protocol is unknown, or "released" is asked to see an image more than once or at
            another size, or of a network without a `tile_size`.
    """
    if protocol not in ("exact", "released"):
        raise ConfigError(f'there is no protocol "{protocol}"; take "exact" or "released"')
    if protocol == "exact":
        return
    if not views.is_plain:
        raise ConfigError(
            'protocol "released" sees an image once, as it is, and not mirrored, shrunk or at other scales; '
            'leave out scales and flip, or take "exact"'
        )
    _tile_size(network)


def _tile_of(
    images: Float[Tensor, "1 3 y x"], tile: Tile, tile_size: tuple[int, int]
) -> Float[Tensor, "1 3 i j"]:
    """One tile at its full size."""
    there = images[..., tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
    return pad_reflect(there, [(0, tile_size[0] - tile.height), (0, tile_size[1] - tile.width)])


def _tile_size(network: DenseNetwork) -> tuple[int, int]:
    if network.tile_size is None:
        raise ConfigError(
            'protocol "released" needs the size of the authors\' tiles, and this network was not published '
            f'with one; take "exact", or one of {", ".join(RELEASED_LABELS)}'
        )
    return network.tile_size
