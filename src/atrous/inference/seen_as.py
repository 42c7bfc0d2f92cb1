"""What a network says about an image that it sees at another size, or mirrored."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from atrous.models.contract import LogitGeometry
from atrous.ops.resample import upsample_logits


def seen_as(
    image: UInt8[np.ndarray, "h w 3"],
    ask: Callable[[UInt8[np.ndarray, "y x 3"]], Float[Tensor, "k i j"]],
    geometry: LogitGeometry,
    *,
    scale: float,
    mirrored: bool,
) -> Float[Tensor, "k h w"]:
    """Probabilities at every pixel of an image that is seen at another size, or mirrored.

    Args:
        image: RGB, 0-255.
        ask: Gives the logits of an image on the network's own grid.
        geometry: Where that grid lies.
        scale: Of the sides.
        mirrored: Left and right changed.
    """
    height, width = image.shape[:2]
    seen = max(1, round(height * scale)), max(1, round(width * scale))
    view = np.asarray(Image.fromarray(image).resize((seen[1], seen[0]), Image.Resampling.BILINEAR))
    cells = ask(view[:, ::-1] if mirrored else view)
    zoom = height / seen[0], width / seen[1]
    logits = upsample_logits(
        cells[None],
        (height, width),
        stride=[geometry.output_stride * factor for factor in zoom],
        center=[(geometry.center + 0.5) * factor - 0.5 for factor in zoom],
    )[0]
    return (logits.flip(-1) if mirrored else logits).softmax(0)
