"""Depth and motion in color: near is bright, and the color wheel of Middlebury's flow set."""

from functools import cache

import numpy as np
from jaxtyping import Float32, UInt8

_ARCS = (15, 6, 4, 11, 13, 6)  # steps from red to yellow, green, cyan, blue, magenta, red; Baker et al. 2011
_NEAR_TO_FAR = "magma_r"


def color_depth(
    depth: Float32[np.ndarray, "h w"], *, span: tuple[float, float] | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Depth as colors (RGB), even in logarithms, near bright and far dark; black where there is none.

    Args:
        depth: Positive, or NaN.
        span: Nearest and farthest of the scale; those of the image unless given.
    """
    import matplotlib as mpl  # heavy, and only pictures need it

    valid = np.isfinite(depth)
    if not valid.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    near, far = np.log(span_of(depth) if span is None else span)
    with np.errstate(invalid="ignore"):
        shares = (np.log(depth) - near) / max(far - near, 1e-6)
    colors = mpl.colormaps[_NEAR_TO_FAR](np.where(valid, shares, 0.0), bytes=True)[..., :3]
    return np.where(valid[..., None], colors, np.uint8(0))


def span_of(depth: Float32[np.ndarray, "..."]) -> tuple[float, float]:
    """Smallest and largest depth; 1 to 1 where there is none."""
    known = depth[np.isfinite(depth)]
    return (float(known.min()), float(known.max())) if known.size else (1.0, 1.0)


def color_flow(
    flow: Float32[np.ndarray, "2 h w"], *, longest: float | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Motion as colors (RGB): the hue is its direction, and it is the stronger the longer it is.

    Baker et al. 2011, as in Middlebury's color code: white stands still, red goes to the right, yellow
    down, cyan to the left, violet up. Black where nothing is known.

    Args:
        flow: To the right and down, in pixels; NaN where it is unknown.
        longest: Length of the strongest color; longer vectors are darker. That of the image unless given.
    """
    known = np.isfinite(flow).all(0)
    u, v = np.where(known, flow, 0.0).astype(np.float64)
    lengths = np.hypot(u, v)
    scale = longest or float(lengths.max()) or 1.0
    radius = lengths / scale
    wheel = color_wheel()
    place = (np.arctan2(-v, -u) / np.pi + 1) / 2 * (len(wheel) - 1)
    first = np.floor(place).astype(int)
    share = (place - first)[..., None]
    color = (1 - share) * wheel[first] + share * wheel[(first + 1) % len(wheel)]
    inside = (radius <= 1)[..., None]
    colors = np.where(inside, 1 - radius[..., None] * (1 - color), 0.75 * color)
    colors[~known] = 0
    return np.floor(255 * colors).astype(np.uint8)


@cache
def color_wheel() -> np.ndarray:
    """The 55 colors of the wheel (55, 3), 0-1, from red over yellow, green, cyan, blue and magenta."""
    corners = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]], float)
    arcs = [
        start + np.floor(255 * np.arange(steps)[:, None] / steps) / 255 * (end - start)
        for steps, start, end in zip(_ARCS, corners[:-1], corners[1:], strict=True)
    ]
    return np.concatenate(arcs)
